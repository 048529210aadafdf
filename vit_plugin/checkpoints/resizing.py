"""Fitting weights to another window, image size, set of tokens or number of input channels."""
from collections.abc import Callable
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_plugin.layers import resize_position
from vit_plugin.layers.window_attention import relative_position_index

from .errors import CheckpointError

Size = tuple[int, int]


def find_window(table: Tensor, index: Tensor | None, target: Size) -> Size:
    """The window (height, width) that a relative position bias table was made for.

    Known from its index buffer; without one, the target's if the rows are as many, or a square.

    Raises:
        UserError: none of these, or an index that orders the rows differently.
    """
    if index is not None:
        return _window_of_index(index, len(table))
    if len(table) == _num_offsets(target):
        return target
    side = isqrt(len(table))
    if side * side != len(table) or side % 2 == 0:
        raise CheckpointError(f'a relative position bias table of {len(table)} rows is of no '
                              'square window, and there is no index buffer to tell its window')
    return (side + 1) // 2, (side + 1) // 2


def _window_of_index(index: Tensor, rows: int) -> Size:
    if index.ndim != 2 or index.shape[0] != index.shape[1] or not len(index):
        raise CheckpointError(f'a relative_position_index of shape {tuple(index.shape)} is not '
                              'square')
    # along the first row of tokens the index falls by 1, at the next row it jumps
    first = index[0].tolist()
    width = 1
    while width < len(first) and first[width] == first[0] - width:
        width += 1
    window = (len(first) // width, width)
    if (_num_offsets(window) != rows
            or not torch.equal(index.long(), relative_position_index(window).to(index.device))):
        raise CheckpointError(f'a relative_position_index of shape {tuple(index.shape)} does not '
                              f'number the {rows} rows of its table offset by offset')
    return window


def _num_offsets(window: Size) -> int:
    return (2 * window[0] - 1) * (2 * window[1] - 1)


def resize_table(table: Tensor, source: Size, target: Size) -> Tensor:
    """Relative position biases (offsets, heads) for another window, by bicubic interpolation.

    Each head's biases are a map over the offsets, interpolated as in Swin-Transformer's and
    mmdet's code. Computed in float32.
    """
    if source == target:
        return table
    grid = table.float().T.reshape(1, -1, 2 * source[0] - 1, 2 * source[1] - 1)
    grid = F.interpolate(grid, size=(2 * target[0] - 1, 2 * target[1] - 1), mode='bicubic',
                         align_corners=False)
    return grid.flatten(2)[0].T.to(table.dtype).contiguous()


def find_grid(num_patches: int, target: Size, given: Size | None) -> Size:
    """The grid (height, width) of a position embedding: as given, as the target's, or a square.

    Raises:
        UserError: ``num_patches`` is none of these.
    """
    if given is not None:
        given = (given[0], given[1])
        if given[0] * given[1] != num_patches:
            raise CheckpointError(f'source_grid={given} has not the {num_patches} positions of '
                                  'the position embedding')
        return given
    if num_patches == target[0] * target[1]:
        return target
    side = isqrt(max(num_patches, 0))
    if side * side != num_patches or not side:
        raise CheckpointError(
            f'a position embedding of {num_patches} patches is of no square grid: give its '
            'source_grid=(height, width)')
    return side, side


def fit_position(source: Tensor, own: Tensor, source_tokens: tuple[str, ...],
                 own_tokens: tuple[str, ...], grid: Size, source_grid: Size | None,
                 resize: Callable[..., Tensor] = resize_position) -> Tensor:
    """A position embedding (1, tokens + h*w, C) for another grid and other tokens.

    Tokens that the source has not keep ``own``'s positions. ``resize`` is what the backbone calls
    for images of other sizes, with arguments as `resize_position`.
    """
    if source.ndim == 4:  # mmdet's and mmseg's (1, C, h, w)
        source_grid = (source.shape[2], source.shape[3])
        source = source.flatten(2).transpose(1, 2)
    if source.ndim != 3 or source.shape[0] != 1 or source.shape[2] != own.shape[2]:
        raise CheckpointError(f'a position embedding of shape {tuple(source.shape)} cannot become '
                              f'{tuple(own.shape)}')
    skip = len(source_tokens)
    source_grid = find_grid(source.shape[1] - skip, grid, source_grid)
    if source_tokens == own_tokens:
        return resize(source, source_grid, grid, skip)
    parts = []
    for i, name in enumerate(own_tokens):
        if name in source_tokens:
            parts.append(source[:, source_tokens.index(name), None])
        else:
            parts.append(own[:, i, None].to(source))
    parts.append(resize(source[:, skip:], source_grid, grid))
    return torch.cat(parts, dim=1)


def lacks_tokens(length: int, tokens: int, grid: Size, source_grid: Size | None) -> bool:
    """True if a position embedding is of patches alone, though the model has tokens.

    Known from its length: with the tokens it is as large as no grid, without them it is.
    """
    def is_grid(patches: int) -> bool:
        if source_grid is not None:
            return patches == source_grid[0] * source_grid[1]
        return patches == grid[0] * grid[1] or isqrt(max(patches, 0))**2 == patches

    return is_grid(length) and not is_grid(length - tokens)


def fit_channels(weight: Tensor, in_channels: int) -> Tensor:
    """The patch embedding (D, 3, p, p) for another number of image channels.

    One channel: the sum over RGB, so that a grey image gives what it gives as RGB. N channels:
    R, G, B, R, ... times 3/N, which keeps the scale of the output (as timm does).

    Raises:
        UserError: the source is not RGB.
    """
    if weight.shape[1] != 3:
        raise CheckpointError(f'a patch embedding of {weight.shape[1]} channels cannot become one '
                              f'of {in_channels}: only RGB can')
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-in_channels // 3), 1, 1)[:, :in_channels]
    return repeated * (3 / in_channels)
