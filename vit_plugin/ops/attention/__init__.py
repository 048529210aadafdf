"""Attention in (shifted) windows, and of all tokens with each other."""
import os
from typing import Any

import torch
from torch import Tensor

from ..backends import allows, is_compiled_inference, is_observed
from ..linear import linear
from ..windows import Shift, Size
from . import compiled, cpu, reference
from .reference import attention

__all__ = ['attention', 'window_attention', 'window_self_attention']


def window_self_attention(x: Tensor, qkv: cpu.Projection, proj: cpu.Projection, bias: Tensor,
                          window: Size, shift: Shift = (0, 0), scale: float | None = None
                          ) -> Tensor:
    """(B, H, W, C) -> (B, H, W, C): project, attend in windows, project.

    Padded places take part as tokens of zeros, whose query, key and value are the bias of ``qkv``.

    Args:
        x: The map.
        qkv: Weight (3C, C) and bias (3C,) of the first projection.
        proj: Weight (C, C) and bias (C,) of the second.
        bias: See `window_attention`, as the others.
        window: (height, width).
        shift: (height, width).
        scale: Factor of the scores.
    """
    if takes_cpu(x) and not torch.is_grad_enabled():
        return cpu.window_self_attention(x, qkv, proj, bias, window, shift, scale)
    if is_compiled_inference(x) and not isinstance(shift[0], Tensor):
        return compiled.window_self_attention(x, *qkv, *proj, bias, window, shift, scale)
    x = window_attention(linear(x, *qkv), qkv[1], bias, window, shift, scale)
    return linear(x, *proj)


def window_attention(qkv: Tensor, padding: Tensor | None, bias: Tensor, window: Size,
                     shift: Shift = (0, 0), scale: float | None = None,
                     drop: reference.Drop | None = None) -> Tensor:
    """Queries, keys and values (B, H, W, 3C) -> (B, H, W, C), tokens of a window attending.

    ::

        qkv -> pad -> roll by -shift -> windows -> attention -> reverse -> roll back -> crop

    Args:
        qkv: Of each token; each third holds the heads side by side.
        padding: (3C,) the query, key and value of padded places, which take part as in the
            official code; ``None`` for zeros.
        bias: (heads, N, N) added to the scores in each window of N tokens.
        window: (height, width).
        shift: (height, width), smaller than the window.
        scale: Factor of the scores, ``None`` for ``head_dim ** -0.5``.
        drop: Dropout of the weights, by the reference.
    """
    if drop is not None:
        return reference.window_attention(qkv, padding, bias, window, shift, scale, drop)
    compute: Any = reference.window_attention
    if takes_cpu(qkv):
        compute = cpu.window_attention
    elif takes_triton(qkv):
        from .triton import window_attention as compute  # an optional library
    return compute(qkv, padding, bias, window, shift, scale)


def takes_cpu(x: Tensor) -> bool:
    """Whether the CPU's back-end may take a map."""
    return not is_observed(x) and allows('cpu') and x.device.type == 'cpu' and len(x) > 0


def takes_triton(x: Tensor) -> bool:
    """Whether the Triton kernel, which has no backward, may; without a GPU, interpreted."""
    return (not is_observed(x) and allows('triton') and not torch.is_grad_enabled()
            and (x.device.type == 'cuda' or os.environ.get('TRITON_INTERPRET') == '1'))
