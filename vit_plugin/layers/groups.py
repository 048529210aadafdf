"""Inference on the CPU, some tokens at a time: what a layer makes in between stays in the cache.

Layers compute tokens, or windows of tokens, independently of each other, so results are the same.
"""
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .windows import partition_windows, round_up, shift_mask

# 32 windows of 7x7; with 96 channels the hidden layer of their MLP takes 2 MB.
TOKENS = 1568


def map_tokens(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``layer(x)`` of tokens (..., C), a group at a time."""
    if x.numel() <= TOKENS * x.shape[-1]:
        return layer(x)
    tokens = x.flatten(0, -2)
    parts = [slice(start, start + TOKENS) for start in range(0, len(tokens), TOKENS)]
    first = layer(tokens[parts[0]])
    out = first.new_empty(len(tokens), first.shape[-1])
    out[parts[0]] = first
    for part in parts[1:]:
        out[part] = layer(tokens[part])
    return out.unflatten(0, x.shape[:-1])


@dataclass(frozen=True)
class WindowGroup:
    """Some windows of a batch of maps, n of them with N places each.

    Attributes:
        tokens: (T,) which of the batch's B*H*W tokens the windows hold.
        sources: (n*N,) which of these T is in each place, T where there is padding; ``None``
            where the windows are full and in order.
        places: (T,) the place of each token; ``None`` as above.
        mask: (n, 1, N, N) to add to the scores, if any.
    """

    tokens: Tensor
    sources: Tensor | None
    places: Tensor | None
    mask: Tensor | None


@lru_cache(maxsize=32)
def window_groups(batch: int, size: tuple[int, int], window: tuple[int, int],
                  shift: tuple[int, int]) -> tuple[WindowGroup, ...]:
    """The windows of a batch of maps of ``size`` (H, W) shifted by ``shift``, in groups.

    Windows that neither the border nor the shift cuts come first, so most groups need no mask.
    """
    padded = [round_up(length, side) for length, side in zip(size, window)]
    numbers = torch.arange(size[0] * size[1], device='cpu').reshape(size)
    numbers = F.pad(numbers, (0, padded[1] - size[1], 0, padded[0] - size[0]), value=-1)
    numbers = numbers.roll((-shift[0], -shift[1]), dims=(0, 1))
    windows = partition_windows(numbers[None, :, :, None], window)[0, :, :, 0]
    mask = shift_mask((padded[0], padded[1]), window, shift, windows.device)
    cut = (windows < 0).any(1) | (mask != 0).flatten(1).any(1)
    order = cut.int().argsort(stable=True)
    image = torch.arange(batch, device='cpu')[:, None] * size[0] * size[1]
    windows = torch.where(windows[order, None] < 0, -1, windows[order, None] + image).flatten(0, 1)
    masks = mask[order].repeat_interleave(batch, dim=0)
    whole = batch * int((~cut).sum())
    length = max(1, TOKENS // windows.shape[1])
    starts = [*range(0, whole, length), *range(whole, len(windows), length)]
    return tuple(make_group(windows[start:end], masks[start:end])
                 for start, end in zip(starts, [*starts[1:], len(windows)]))


def make_group(windows: Tensor, mask: Tensor) -> WindowGroup:
    """The group of ``windows`` (n, N), token numbers with -1 for padding, and their masks."""
    real = windows.flatten() >= 0
    tokens = windows.flatten()[real]
    sources = places = None
    if not real.all():
        places = real.nonzero()[:, 0]
        sources = torch.full_like(windows.flatten(), len(tokens))
        sources[places] = torch.arange(len(tokens), device='cpu')
    return WindowGroup(tokens, sources, places, mask[:, None] if mask.any() else None)
