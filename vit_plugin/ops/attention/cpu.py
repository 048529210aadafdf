"""Attention in windows on the CPU, some windows at a time: what is made in between stays in cache.

One gather and one scatter for each group stand for pad, roll, partition and their inverses.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..backends import TOKENS
from ..linear import matmul
from ..windows import Shift, Size, round_up, shift_mask, window_partition
from . import reference

Map = Callable[[Tensor], Tensor]
# Weight (D, C) and bias (D,) of a linear layer.
Projection = tuple[Tensor, Tensor | None]


def window_attention(qkv: Tensor, padding: Tensor | None, bias: Tensor, window: Size,
                     shift: Shift, scale: float | None) -> Tensor:
    """See `vit_plugin.ops.window_attention`."""
    if torch.is_grad_enabled():
        return GroupedAttention.apply(qkv, padding, bias, window, shift, scale)
    return attend(qkv, padding, bias, window, shift, scale)


def window_self_attention(x: Tensor, qkv: Projection, proj: Projection, bias: Tensor,
                          window: Size, shift: Shift, scale: float | None) -> Tensor:
    """See `vit_plugin.ops.window_self_attention`; without gradients."""
    return attend(x, qkv[1], bias, window, shift, scale, lambda x: matmul(x, *qkv),
                  lambda x: matmul(x, *proj))


def attend(x: Tensor, padding: Tensor | None, bias: Tensor, window: Size, shift: Shift,
           scale: float | None, project: Map = lambda x: x, project_back: Map = lambda x: x
           ) -> Tensor:
    """Attention in windows without gradients, of what ``project`` makes of the tokens of ``x``."""
    b, h, w, c = x.shape
    tokens, bias = x.reshape(b * h * w, c), bias.contiguous()
    out: Any = None
    for part, group in window_groups(b, (h, w), window, shift):
        q, k, v = split_heads(group.gather(tokens[part], padding, project), 3, len(bias))
        y = reference.fused(q, k, v, group.masked(bias).to(q.dtype), scale)
        y = project_back(group.inside_of(y.transpose(1, 2)))
        if out is None:
            out = y.new_empty(b * h * w, y.shape[-1])
        out[part].index_copy_(0, group.numbers(), y)
    return out.view(b, h, w, -1)


class GroupedAttention(Function):
    """`attend` with gradients; it keeps its inputs and computes the scores twice."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        return attend(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.settings = inputs[3:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        inputs, needed = ctx.saved_tensors, ctx.needs_input_grad[:3]
        settings = (None,) * len(ctx.settings)
        if not torch.is_grad_enabled():
            return (*attend_backward(grads[0], *inputs, *ctx.settings), *settings)
        # For gradients of gradients.
        out = reference.window_attention(*inputs, *ctx.settings)
        found = iter(torch.autograd.grad(out, [x for x, need in zip(inputs, needed) if need],
                                         grads, create_graph=True, allow_unused=True))
        return (*(next(found) if need else None for need in needed), *settings)


def attend_backward(grad: Tensor, qkv: Tensor, padding: Tensor | None, bias: Tensor,
                    window: Size, shift: Shift, scale: float | None
                    ) -> tuple[Tensor, Tensor | None, Tensor]:
    """The gradients of `attend` to qkv, padding and bias, given that to its result."""
    b, h, w, c = qkv.shape
    tokens, grad_out, heads = qkv.reshape(-1, c), grad.reshape(-1, c // 3), len(bias)
    # Half precision would overflow where the fused attention of the forward does not.
    precise = torch.promote_types(qkv.dtype, torch.float32)
    scale = (c // 3 // heads)**-0.5 if scale is None else scale
    grad_qkv = torch.empty_like(tokens)
    grad_padding = torch.zeros(c, dtype=precise, device='cpu')
    grad_bias = torch.zeros_like(bias, dtype=precise)
    for part, group in window_groups(b, (h, w), window, shift):
        windows = group.gather(tokens[part], padding).to(precise)
        q, k, v = split_heads(windows, 3, heads).contiguous()
        q *= scale
        grad_y = group.gather(grad_out[part], None).to(precise)
        grad_y = split_heads(grad_y, 1, heads)[0].contiguous()
        weights = (q @ k.mT + group.masked(bias).to(precise)).softmax(-1)
        grad_scores = torch.ops.aten._softmax_backward_data(grad_y @ v.mT, weights, -1, precise)
        grad_bias += grad_scores.sum(0)
        grads = torch.empty_like(windows)
        for third, product in zip(split_heads(grads, 3, heads), (
                (grad_scores @ k).mul_(scale), grad_scores.mT @ q, weights.mT @ grad_y)):
            third.copy_(product)
        grad_qkv[part].index_copy_(0, group.numbers(), group.inside_of(grads).to(qkv.dtype))
        if group.inside is not None:
            grad_padding += grads[~group.inside].sum(0)
    return (grad_qkv.view(b, h, w, c),
            None if padding is None else grad_padding.to(padding.dtype), grad_bias.to(bias.dtype))


def split_heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """(n, N, parts*heads*C) -> (parts, n, heads, N, C), a view."""
    return x.unflatten(2, (parts, heads, -1)).permute(2, 0, 3, 1, 4)


@dataclass(frozen=True)
class WindowGroup:
    """n windows with N places each, all whole or all cut by the border or the shift.

    Attributes:
        tokens: (n, N) which of some maps' tokens is in each place; any where there is none.
        inside: (n, N) whether a token is there; ``None`` where there is one in all.
        kinds: (n,) which of the masks a window has; ``None`` where the shift cuts none.
        masks: (kinds, 1, N, N) to add to the scores.
    """

    tokens: Tensor
    inside: Tensor | None
    kinds: Tensor | None
    masks: Tensor

    def numbers(self) -> Tensor:
        """The tokens that are there, window by window."""
        return self.tokens.flatten() if self.inside is None else self.tokens[self.inside]

    def inside_of(self, x: Tensor) -> Tensor:
        """(n, N, ...) -> those of `numbers`, each (C,)."""
        return x.reshape(self.tokens.numel(), -1) if self.inside is None \
            else x.reshape(*self.tokens.shape, -1)[self.inside]

    def gather(self, x: Tensor, padding: Tensor | None, project: Map = lambda x: x) -> Tensor:
        """Tokens (T, C) -> (n, N, C'), projected; ``padding`` (C',) where there is no token."""
        x = project(x.index_select(0, self.numbers()))
        if self.inside is None:
            return x.view(*self.tokens.shape, -1)
        windows = x.new_zeros(*self.tokens.shape, x.shape[-1])
        if padding is not None:
            windows[:] = padding
        windows[self.inside] = x
        return windows

    def first(self, count: int) -> 'WindowGroup':
        """The first windows."""
        return WindowGroup(self.tokens[:count],
                           None if self.inside is None else self.inside[:count],
                           None if self.kinds is None else self.kinds[:count], self.masks)

    def masked(self, bias: Tensor) -> Tensor:
        """The bias (heads, N, N) with the masks, as (1 or n, heads, N, N)."""
        return bias[None] if self.kinds is None else bias + self.masks[self.kinds]


def window_groups(batch: int, size: Size, window: Size, shift: Shift
                  ) -> Iterator[tuple[slice, WindowGroup]]:
    """The windows of a batch of maps of ``size`` (H, W) rolled by -shift, `TOKENS` at a time.

    Yields:
        Some of the batch's B*H*W tokens, and a group of windows among them.
    """
    num_tokens = size[0] * size[1]
    for images, group in map_windows(size, window, shift):
        windows = len(group.tokens) // images
        for image in range(0, batch, images):
            count = min(images, batch - image)
            yield (slice(image * num_tokens, (image + count) * num_tokens),
                   group if count == images else group.first(count * windows))


@lru_cache(maxsize=32)
def map_windows(size: Size, window: Size, shift: Shift) -> list[tuple[int, WindowGroup]]:
    """Groups that hold the windows of one map, or those of several maps where these are small.

    Returns:
        Number of maps, and their windows: first the whole ones, then those that are cut.
    """
    padded = (round_up(size[0], window[0]), round_up(size[1], window[1]))
    # Tensors that are kept must not be of inference mode, which autograd refuses to save.
    with torch.inference_mode(False), torch.device('cpu'):
        y, x = (torch.arange(length).roll(-int(places)) for length, places in zip(padded, shift))
        places = torch.stack(torch.broadcast_tensors(y[:, None], x), -1)
        y, x = window_partition(places[None], window)[0].unbind(-1)
        inside = (y < size[0]) & (x < size[1])
        tokens = torch.where(inside, y * size[1] + x, 0)
        # Of 2x2 windows, the last in a row or column has the mask of the last of any number.
        masks = shift_mask((2 * window[0], 2 * window[1]), window, shift)[:, None]
        rows, columns = (torch.arange(a // b) == a // b - 1 for a, b in zip(padded, window))
        kinds = (2 * rows[:, None] + columns).flatten()
        cut = ~inside.all(1) | masks.flatten(1).any(1)[kinds]
        step = max(1, TOKENS // tokens.shape[1])
        groups = []
        for members in (~cut, cut):
            count = int(members.sum())
            maps = max(1, step // max(1, count))
            first = torch.arange(maps)[:, None, None] * size[0] * size[1]
            parts = zip((first + tokens[members]).flatten(0, 1).split(step),
                        inside[members].repeat(maps, 1).split(step),
                        kinds[members].repeat(maps).split(step))
            groups += [(maps, WindowGroup(part, None if fits.all() else fits,
                                          kind if masks[kind].any() else None, masks))
                       for part, fits, kind in parts if len(part)]
        return groups
