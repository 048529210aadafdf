"""Attention in shifted windows as one Triton kernel, for inference on a GPU.

It reads queries, keys and values where they are in the map and writes the result there: padding,
shift, partition, bias, mask and their inverses are index arithmetic and take no memory.
"""
import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention import Map
from .windows import MASKED, Shift, Size

# Tokens that a program takes at a time, at least and at most; tl.dot takes no fewer than 16.
MIN_BLOCK, MAX_BLOCK = 16, 64


def window_attention(x: Tensor, project: Map, project_back: Map, bias: Tensor, window: Size,
                     shift: Shift = (0, 0), scale: float | None = None, drop: Map | None = None
                     ) -> Tensor:
    """`vit_plugin.ops.window_attention` without dropout and gradients.

    Padding is projected once.
    """
    padding = project(x.new_zeros(1, x.shape[-1]))
    return project_back(attend_in_windows(project(x), padding, bias, window, shift, scale))


def attend_in_windows(qkv: Tensor, padding: Tensor, bias: Tensor, window: Size, shift: Shift,
                      scale: float | None) -> Tensor:
    """Queries, keys and values (B, H, W, 3C), those of padded places (1, 3C) -> (B, H, W, C)."""
    batch, height, width, channels = qkv.shape
    heads, length, _ = bias.shape
    rows, columns = triton.cdiv(height, window[0]), triton.cdiv(width, window[1])
    dim = channels // 3 // heads
    scale = dim**-0.5 if scale is None else scale
    padding = padding.to(qkv.dtype).contiguous()
    block = min(MAX_BLOCK, max(MIN_BLOCK, triton.next_power_of_2(length)))
    out = qkv.new_empty(batch, height, width, channels // 3)
    if batch:
        grid = (batch * rows * columns, heads, triton.cdiv(length, block))
        with torch.cuda.device_of(qkv):
            attend[grid](qkv.contiguous(), padding, bias.to(qkv.dtype).contiguous(), out,
                         height, width, rows, columns, *shift, scale, *window, heads, dim,
                         max(MIN_BLOCK, triton.next_power_of_2(dim)), block,
                         shift != (0, 0), MASKED)
    return out


@triton.jit
def attend(qkv, padding, bias, out, height, width, rows, columns, shift_y, shift_x, scale,
           WINDOW_H: tl.constexpr, WINDOW_W: tl.constexpr, HEADS: tl.constexpr,  # noqa: N803
           DIM: tl.constexpr, DIM_BLOCK: tl.constexpr, BLOCK: tl.constexpr,  # noqa: N803
           SHIFTED: tl.constexpr, MASK: tl.constexpr):  # noqa: N803
    """BLOCK queries of one head in one window attend to all of its keys, BLOCK at a time."""
    length: tl.constexpr = WINDOW_H * WINDOW_W
    channels: tl.constexpr = HEADS * DIM
    window, head = tl.program_id(0), tl.program_id(1)
    first = (window // (rows * columns)) * height * width  # token of the image
    top, left = window // columns % rows * WINDOW_H, window % columns * WINDOW_W
    inner = tl.arange(0, DIM_BLOCK)
    channel, exists = head * DIM + inner[None, :], (inner < DIM)[None, :]

    place = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    token, real, region = locate(place, top, left, height, width, rows, columns, shift_y, shift_x,
                                 WINDOW_H, WINDOW_W)
    query = (first + token).to(tl.int64)[:, None]
    q = tl.load(qkv + query * 3 * channels + channel, mask=real[:, None] & exists, other=0.)

    highest = tl.full((BLOCK,), float('-inf'), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    result = tl.zeros((BLOCK, DIM_BLOCK), tl.float32)
    for start in range(0, length, BLOCK):
        other = start + tl.arange(0, BLOCK)
        inside = (other < length)[None, :]
        token, there, other_region = locate(other, top, left, height, width, rows, columns,
                                            shift_y, shift_x, WINDOW_H, WINDOW_W)
        key = (first + token).to(tl.int64)[:, None]
        # A token's own, or for every padded place the same.
        address = tl.where(there[:, None], qkv + key * 3 * channels, padding) + channel
        wanted = (other < length)[:, None] & exists
        k = tl.load(address + channels, mask=wanted, other=0.)
        v = tl.load(address + 2 * channels, mask=wanted, other=0.)
        scores = tl.dot(q, tl.trans(k), input_precision='ieee') * scale
        scores += tl.load(bias + (head * length + place[:, None]) * length + other[None, :],
                          mask=(place < length)[:, None] & inside, other=0.)
        if SHIFTED:
            scores += tl.where(region[:, None] != other_region[None, :], MASK, 0.)
        scores = tl.where(inside, scores, float('-inf'))
        # Softmax over blocks: what was summed up is scaled to the new highest score.
        higher = tl.maximum(highest, tl.max(scores, 1))
        weights, shrink = tl.exp(scores - higher[:, None]), tl.exp(highest - higher)
        total = total * shrink + tl.sum(weights, 1)
        result = result * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision='ieee')
        highest = higher
    tl.store(out + query * channels + channel, result / total[:, None],
             mask=real[:, None] & exists)


@triton.jit
def locate(place, top, left, height, width, rows, columns, shift_y, shift_x,
           WINDOW_H: tl.constexpr, WINDOW_W: tl.constexpr):  # noqa: N803
    """Place in a window -> (token of the map, True where there is one, region of `shift_mask`)."""
    y, x = top + place // WINDOW_W, left + place % WINDOW_W
    padded_h, padded_w = rows * WINDOW_H, columns * WINDOW_W
    row, column = (y + shift_y) % padded_h, (x + shift_x) % padded_w
    real = (place < WINDOW_H * WINDOW_W) & (row < height) & (column < width)
    region = (3 * ((y >= padded_h - WINDOW_H).to(tl.int32) + (y >= padded_h - shift_y).to(tl.int32))
              + (x >= padded_w - WINDOW_W).to(tl.int32) + (x >= padded_w - shift_x).to(tl.int32))
    return row * width + column, real, region
