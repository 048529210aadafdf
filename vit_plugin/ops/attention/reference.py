"""Attention by torch's operators: what every back-end is compared with.

It is also what is compiled, exported, traced, counted and transformed, and trained on a GPU.
"""
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..backends import is_exporting, is_observed, knows_products_only
from ..windows import (
    Shift,
    Size,
    crop,
    pad_to_windows,
    roll,
    shift_mask,
    window_partition,
    window_reverse,
)

Drop = Callable[[Tensor], Tensor]
# torch 2.4 multiplies float16 queries and keys in float16 on a CPU, whose range they leave.
OVERFLOWS = torch.__version__ < '2.5'
# The most that torch's memory-efficient attention on a GPU takes at a time.
MAX_CUDA_BATCH = 2**16 - 1


def window_attention(qkv: Tensor, padding: Tensor | None, bias: Tensor, window: Size,
                     shift: Shift, scale: float | None, drop: Drop | None = None) -> Tensor:
    """See `vit_plugin.ops.window_attention`."""
    size = (qkv.shape[1], qkv.shape[2])
    x = pad_to_windows(qkv, window, value=None if padding is None else padding.to(qkv.dtype))
    padded = (x.shape[1], x.shape[2])
    x = window_partition(roll(x, (-shift[0], -shift[1])), window)
    bias = bias[None]
    if isinstance(shift[0], Tensor) or any(shift):
        bias = bias + mask_of(x, padded, window, shift)[:, None]
    x = attend_in_windows(x, bias, scale, drop)
    return crop(roll(window_reverse(x, window, padded), shift), size)


def attend_in_windows(qkv: Tensor, bias: Tensor, scale: float | None,
                      drop: Drop | None = None) -> Tensor:
    """qkv (B, nW, N, 3C) and bias (1 or nW, heads, N, N) -> (B, nW, N, C).

    Windows with biases of their own are folded into the heads, the others into the batch: so one
    (1, heads', N, N) bias is broadcast and never copied.
    """
    b, num_windows, n, c = qkv.shape
    folded, num_heads = bias.shape[:2]
    heads, dim = folded * num_heads, c // 3 // num_heads
    qkv = qkv.reshape(b, num_windows, n, 3, num_heads, dim).permute(3, 0, 1, 4, 2, 5)
    q, k, v = qkv.reshape(3, b * (num_windows // folded), heads, n, dim)
    x = attention(q, k, v, bias.reshape(1, heads, n, n), scale, drop)
    x = x.reshape(b, num_windows, num_heads, n, dim).transpose(2, 3)
    if is_exporting():
        # An exporter may decompose the attention into one with another memory layout, where
        # the view that the reshape is recorded as here is impossible (ONNX, torch 2.13).
        x = x.clone(memory_format=torch.contiguous_format)
    return x.reshape(b, num_windows, n, c // 3)


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None,
              scale: float | None = None, drop: Drop | None = None) -> Tensor:
    """``softmax(scale * q k^T + bias) v`` of q, k, v (B, heads, N, C) -> (B, heads, N, C).

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        bias: (1 or B, heads, N, N).
        scale: ``None`` for ``C ** -0.5``.
        drop: Dropout of the weights (B, heads, N, N).
    """
    if bias is not None:
        bias = bias.to(q.dtype)
    if drop is not None or knows_products_only():
        scores = (q * (q.shape[-1]**-0.5 if scale is None else scale)) @ k.mT
        weights = (scores if bias is None else scores + bias).softmax(-1)
        return (weights if drop is None else drop(weights)) @ v
    if bias is None:
        return fused(q, k, v, None, scale)
    if is_exporting():
        # Else the attention asks whether a batch of 1 is the bias's 1, and export keeps the 1.
        bias = bias.expand(q.shape[0], -1, -1, -1)
    if q.device.type != 'cuda':
        return fused(q, k, v, bias, scale)
    if len(q) > MAX_CUDA_BATCH:
        halves = zip(q.chunk(2), k.chunk(2), v.chunk(2))
        return torch.cat([attention(*half, bias, scale) for half in halves])
    # Not cuDNN's, which torch 2.13 prefers on Hopper: with a bias its gradients can be NaN at
    # 64, 192, ... tokens (pytorch#196678).
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        return fused(q, k, v, bias, scale)


def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float | None) -> Tensor:
    """`attention` by torch's operator; in float32 where float16 would overflow."""
    if OVERFLOWS and q.dtype == torch.float16 and q.device.type == 'cpu':
        with torch.autocast('cpu', enabled=False):
            bias = None if bias is None else bias.float()
            return fused(q.float(), k.float(), v.float(), bias, scale).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)


def mask_of(x: Tensor, size: Size, window: Size, shift: Shift) -> Tensor:
    """The `shift_mask` of a padded map, kept for the next call where that is possible."""
    if is_observed(x) or isinstance(shift[0], Tensor):
        return shift_mask(size, window, shift, x.device)
    return kept_mask(size, window, shift, x.device)


@lru_cache(maxsize=8)  # two image sizes of a Swin with four stages
def kept_mask(size: Size, window: Size, shift: Shift, device: torch.device) -> Tensor:
    """`shift_mask`, as a tensor that autograd may save whoever asked first."""
    with torch.inference_mode(False):
        return shift_mask(size, window, shift, device)
