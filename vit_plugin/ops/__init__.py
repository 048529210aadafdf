"""How things are computed: one function each, back-ends behind it, a reference beside them.

Pure functions of tensors; what owns weights is in `vit_plugin.layers`.
"""
from .attention import attention, window_attention, window_self_attention
from .backends import BACKENDS, backend
from .linear import linear
from .mlp import mlp
from .norm import recomputed_norm
from .windows import (
    Shift,
    Size,
    crop,
    pad_to_windows,
    roll,
    round_up,
    shift_mask,
    window_partition,
    window_reverse,
)

__all__ = [
    'BACKENDS', 'Shift', 'Size', 'attention', 'backend', 'crop', 'linear', 'mlp', 'pad_to_windows',
    'recomputed_norm', 'roll', 'round_up', 'shift_mask', 'window_attention', 'window_partition',
    'window_reverse', 'window_self_attention',
]
