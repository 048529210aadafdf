"""Operators as pure functions of tensors; modules that own weights are in `vit_plugin.layers`.

::

    attention.py   attention, window_attention ─┐
    mlp.py         mlp, linear ─────────────────┤ contracts, each with its reference
    position_bias.py   position_bias ───────────┤
    recompute.py   saving ──────────────────────┘
    choice.py      choose: the reference, or a back-end that equals it; the only place that decides
    backends.py    backend: which of them may be taken
    cpu/, recompute.py, triton.py               the back-ends

A layer asks once a call: ``ops.choose(ops.mlp, x, ...)(x, ...)``.
"""
from .attention import attention, window_attention
from .backends import BACKENDS, backend
from .choice import calls, choose
from .mlp import linear, mlp
from .position_bias import position_bias
from .recompute import saving
from .windows import (
    Shift,
    Size,
    crop,
    is_exporting,
    pad_to_windows,
    roll,
    round_up,
    shift_mask,
    window_partition,
    window_reverse,
)

__all__ = [
    'BACKENDS', 'Shift', 'Size', 'attention', 'backend', 'calls', 'choose', 'crop', 'is_exporting',
    'linear', 'mlp', 'pad_to_windows', 'position_bias', 'roll', 'round_up', 'saving', 'shift_mask',
    'window_attention', 'window_partition', 'window_reverse',
]
