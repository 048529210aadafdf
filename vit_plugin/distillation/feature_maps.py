"""Features of every layout as maps (B, C, h, w)."""
from torch import Tensor

from vit_plugin.errors import UserError

MOST_EXTRA_TOKENS = 16  # class, distillation and register tokens before the patches


def is_channels_last(features: Tensor, size: tuple[int, int]) -> bool:
    """True if features of an image of (height, width) can be (B, h, w, C), but not (B, C, h, w)."""
    if features.ndim != 4 or is_grid(features.shape[2], features.shape[3], size):
        return False
    return is_grid(features.shape[1], features.shape[2], size)


def is_grid(rows: int, columns: int, size: tuple[int, int]) -> bool:
    """True if rows and columns have the proportion of (height, width), up to their rounding."""
    return abs(rows * size[1] - columns * size[0]) < max(size)


def as_map(features: Tensor, size: tuple[int, int], channels_last: bool = False) -> Tensor:
    """(B, h, w, C), or tokens (B, N, C), of an image of (height, width) -> (B, C, h, w).

    Class, distillation and register tokens come first, as in every common ViT, and are left out.
    Others stay as they are.

    Raises:
        UserError: N fits no grid of square patches.
    """
    if features.ndim != 3:
        return features.permute(0, 3, 1, 2) if channels_last else features
    height, width = size
    count = features.shape[1]
    for extra in range(min(count, MOST_EXTRA_TOKENS + 1)):
        patches = count - extra
        rows = round((patches * height / width)**0.5)
        columns = patches // max(rows, 1)
        if rows * columns == patches and rows * width == columns * height:
            return features[:, extra:].transpose(1, 2).unflatten(2, (rows, columns))
    raise UserError(f'{count} tokens fit no grid of square patches of an image of '
                    f'{height}x{width} pixels')
