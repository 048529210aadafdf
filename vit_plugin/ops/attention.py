"""Attention of all tokens with each other, and in (shifted) windows: contract and reference.

`attention` and `window_attention` are the references. What else is here equals them by other
operators of torch; `vit_plugin.ops.choose` says which is taken when.
"""
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .windows import (
    Shift,
    Size,
    crop,
    is_exporting,
    pad_to_windows,
    roll,
    shift_mask,
    window_partition,
    window_reverse,
)

# Of tensors (..., C); a module is one, too.
Map = Callable[[Tensor], Tensor]
# torch 2.4 multiplies float16 queries and keys in float16 on a CPU, whose range they leave.
OVERFLOWS = torch.__version__ < '2.5'
# Before, attention asks whether a batch of 1 is the bias's 1, and export keeps the 1.
KEEPS_BATCH = torch.__version__ < '2.15'
# The most that torch's memory-efficient attention on a GPU takes at a time.
MAX_CUDA_BATCH = 2**16 - 1


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None,
              scale: float | None = None, drop: Map | None = None) -> Tensor:
    """``drop(softmax(scale * q k^T + bias)) v`` of q, k, v (B, heads, N, C) -> (B, heads, N, C).

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        bias: (1 or B, heads, N, N).
        scale: ``None`` for ``C ** -0.5``.
        drop: Dropout of the weights (B, heads, N, N).
    """
    scale = q.shape[-1]**-0.5 if scale is None else scale
    scores = (q * scale) @ k.mT
    if bias is not None:
        scores = scores + bias.to(q.dtype)
    weights = scores.softmax(-1)
    if drop is not None:
        weights = drop(weights)
    return weights @ v


def window_attention(x: Tensor, project: Map, project_back: Map, bias: Tensor, window: Size,
                     shift: Shift = (0, 0), scale: float | None = None, drop: Map | None = None,
                     attention: Callable[..., Tensor] = attention,
                     mask: Callable[..., Tensor] = shift_mask) -> Tensor:
    """(B, H, W, C) -> (B, H, W, C), every token attending to those of its window.

    ::

        x -> pad -> roll by -shift -> project -> windows -> attention -> reverse
          -> roll back -> crop -> project back

    Padded places are tokens of zeros, and take part as in the official code. Swin, section 3.2.

    Args:
        x: The map.
        project: Tokens (..., C) to their queries, keys and values (..., 3C), side by side.
        project_back: (..., C) to (..., C).
        bias: (heads, N, N) added to the scores in each window of N tokens.
        window: (height, width).
        shift: (height, width), smaller than the window.
        scale: Factor of the scores, ``None`` for ``head_dim ** -0.5``.
        drop: Dropout of the weights.
        attention: What stands for `attention`, and equals it.
        mask: What stands for `shift_mask`.
    """
    size = (x.shape[1], x.shape[2])
    x = pad_to_windows(x, window)
    padded = (x.shape[1], x.shape[2])
    windows = window_partition(project(roll(x, (-shift[0], -shift[1]))), window)
    bias = bias[None]
    if isinstance(shift[0], Tensor) or any(shift):
        bias = bias + mask(padded, window, shift, x.device)[:, None]
    q, k, v = split_heads(windows, bias)
    n = windows.shape[2]
    x = attention(q, k, v, bias.reshape(1, -1, n, n), scale, drop)
    x = window_reverse(join_heads(x, windows.shape[1], bias.shape[1]), window, padded)
    return project_back(crop(roll(x, shift), size))


def split_heads(windows: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Windows (B, nW, N, 3C) -> queries, keys, values (B', heads', N, C / heads).

    Windows with biases (nW, heads, N, N) of their own are folded into the heads, those with one
    (1, heads, N, N) into the batch: so one bias (1, heads', N, N) is broadcast and never copied.
    """
    b, num_windows, n, c = windows.shape
    folded, num_heads = bias.shape[:2]
    dim = c // 3 // num_heads
    qkv = windows.reshape(b, num_windows, n, 3, num_heads, dim).permute(3, 0, 1, 4, 2, 5)
    qkv = qkv.reshape(3, b * (num_windows // folded), folded * num_heads, n, dim)
    return qkv.unbind(0)


def join_heads(x: Tensor, num_windows: int, num_heads: int) -> Tensor:
    """(B', heads', N, C / heads) -> windows (B, nW, N, C): the inverse of `split_heads`."""
    n, dim = x.shape[-2:]
    b = x.shape[0] * x.shape[1] // (num_windows * num_heads)
    # Not (b, num_windows, ...): OpenVINO 2026.4 fails on five dimensions, one of them dynamic.
    x = x.reshape(b * num_windows, num_heads, n, dim).transpose(1, 2)
    if is_exporting():
        # An exporter may decompose the attention into one with another memory layout, where
        # the view that the reshape is recorded as here is impossible (ONNX, torch 2.13).
        x = x.clone(memory_format=torch.contiguous_format)
    return x.reshape(b, num_windows, n, num_heads * dim)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None,
                    scale: float | None = None, drop: Map | None = None) -> Tensor:
    """`attention` without dropout, by torch's fused operator."""
    if bias is None:
        return scaled_dot_product(q, k, v, None, scale)
    bias = bias.to(q.dtype)
    if KEEPS_BATCH and is_exporting():
        bias = bias.expand(q.shape[0], -1, -1, -1)
    if q.device.type != 'cuda':
        return scaled_dot_product(q, k, v, bias, scale)
    if len(q) > MAX_CUDA_BATCH:
        halves = zip(q.chunk(2), k.chunk(2), v.chunk(2))
        return torch.cat([fused_attention(*half, bias, scale) for half in halves])
    # Not cuDNN's, which torch 2.13 prefers on Hopper: with a bias its gradients can be NaN at
    # 64, 192, ... tokens (pytorch#196678).
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        return scaled_dot_product(q, k, v, bias, scale)


def scaled_dot_product(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None,
                       scale: float | None) -> Tensor:
    """`attention` on any device, without dropout; in float32 where float16 would overflow."""
    if OVERFLOWS and q.dtype == torch.float16 and q.device.type == 'cpu':
        with torch.autocast('cpu', enabled=False):
            bias = None if bias is None else bias.float()
            return scaled_dot_product(q.float(), k.float(), v.float(), bias, scale).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
