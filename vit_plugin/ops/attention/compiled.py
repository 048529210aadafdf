"""Attention in windows on the CPU as one operator, which torch.compile calls as it is."""
from typing import Sequence  # noqa: UP035  # the one that torch 2.4's operators know

import torch
from torch import Tensor

from . import cpu


@torch.library.custom_op('vit_plugin::window_self_attention', mutates_args=())
def window_self_attention(x: Tensor, qkv: Tensor, qkv_bias: Tensor | None, proj: Tensor,
                          proj_bias: Tensor | None, bias: Tensor, window: Sequence[int],
                          shift: Sequence[int], scale: float | None) -> Tensor:
    """`cpu.window_self_attention` of the two projections' weights and biases."""
    if len(x) == 0:
        return like(x, qkv, qkv_bias, proj)
    return cpu.window_self_attention(x, (qkv, qkv_bias), (proj, proj_bias), bias,
                                     (window[0], window[1]), (shift[0], shift[1]), scale)


@window_self_attention.register_fake
def like(x: Tensor, qkv: Tensor, qkv_bias: Tensor | None, proj: Tensor, *others: object) -> Tensor:
    """An empty tensor, of the shape of the result."""
    return x.new_empty(*x.shape[:-1], proj.shape[0])
