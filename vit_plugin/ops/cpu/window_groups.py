"""The windows of a batch of maps, some at a time: which tokens are in them, and their masks."""
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..windows import Shift, Size, round_up, shift_mask, window_partition
from .products import TOKENS


@dataclass(frozen=True)
class WindowGroup:
    """n windows with N places each, all whole or all cut by the border or the shift.

    Attributes:
        tokens: (n, N) the number of the token in each place; any where there is none.
        inside: (n, N) True where there is a token; ``None`` if there is one in all places.
        kinds: (n,) the number of each window's mask; ``None`` if the shift cuts no window.
        masks: (kinds, 1, N, N) to add to the scores.
    """

    tokens: Tensor
    inside: Tensor | None
    kinds: Tensor | None
    masks: Tensor

    def numbers(self) -> Tensor:
        """The tokens that are there, window by window."""
        return self.tokens.flatten() if self.inside is None else self.tokens[self.inside]

    def take(self, x: Tensor) -> Tensor:
        """(n, N, ...) -> those of `numbers`, each (C,)."""
        if self.inside is None:
            return x.reshape(self.tokens.numel(), -1)
        return x.reshape(*self.tokens.shape, -1)[self.inside]

    def place(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Those of `numbers`, each (C,) -> (n, N, C); ``padding`` (1, C) where there is none."""
        if self.inside is None:
            return x.view(*self.tokens.shape, -1)
        windows = x.new_zeros(*self.tokens.shape, x.shape[-1])
        if padding is not None:
            windows[:] = padding
        windows[self.inside] = x
        return windows

    def part(self, windows: slice) -> 'WindowGroup':
        """Some of the windows."""
        inside = None if self.inside is None else self.inside[windows]
        kinds = None if self.kinds is None else self.kinds[windows]
        return WindowGroup(self.tokens[windows], inside, kinds, self.masks)

    def simplified(self) -> 'WindowGroup':
        """The same windows, without ``inside`` and ``kinds`` where these say nothing."""
        whole = self.inside is None or bool(self.inside.all())
        uncut = self.kinds is None or not self.masks[self.kinds].any()
        inside = None if whole else self.inside
        kinds = None if uncut else self.kinds
        return WindowGroup(self.tokens, inside, kinds, self.masks)

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
            tokens = slice(image * num_tokens, (image + count) * num_tokens)
            yield tokens, group.part(slice(count * windows))


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
            group = WindowGroup((first + tokens[members]).flatten(0, 1),
                                inside[members].repeat(maps, 1), kinds[members].repeat(maps), masks)
            for start in range(0, maps * count, step):
                part = group.part(slice(start, start + step))
                groups.append((maps, part.simplified()))
        return groups
