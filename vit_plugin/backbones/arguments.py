"""Checks of the backbones' arguments."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from vit_plugin.errors import UserError

# Parts of a config.
Config: TypeAlias = dict[str, Any]
Arch: TypeAlias = str | Mapping[str, Any]
InitCfg: TypeAlias = Config | list[Config] | None


def is_integer(value: object, least: int) -> bool:
    """True if ``value`` is an `int`, no `bool`, and not under ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def pair(name: str, value: object) -> tuple[int, int]:
    """A size or a (height, width) of positive integers as a pair, else `UserError`."""
    sizes = (value, value) if isinstance(value, int) else value
    if (not isinstance(sizes, Sequence) or len(sizes) != 2
            or not all(is_integer(size, 1) for size in sizes)):
        raise UserError(f'{name} must be a positive integer or a pair (height, width) of them, '
                        f'got {value!r}')
    return sizes[0], sizes[1]


def patch_grid(img_size: object, patch_size: object) -> tuple[tuple[int, int], tuple[int, int]]:
    """The patch (height, width), and how many of them cover an image (rows, columns)."""
    image, patch = pair('img_size', img_size), pair('patch_size', patch_size)
    return patch, (-(-image[0] // patch[0]), -(-image[1] // patch[1]))


def check_positive(**arguments: object) -> None:
    """Raise `UserError` unless each is a positive integer or a sequence of them."""
    for name, value in arguments.items():
        if isinstance(value, Sequence):
            if not value or not all(is_integer(v, 1) for v in value):
                raise UserError(f'{name}={value!r} must be a positive integer each')
        elif not is_integer(value, 1):
            raise UserError(f'{name}={value!r} must be a positive integer')


def check_rates(**arguments: object) -> None:
    """Raise `UserError` unless each is a probability below 1."""
    for name, rate in arguments.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise UserError(f'{name}={rate!r} must be a number in [0, 1)')


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Raise `UserError` unless ``value`` is among the known ones."""
    if value not in known:
        raise UserError(f'{name}={value!r} is unknown: choose from {", ".join(known)}')


def rising_rates(rate: float, depth: int) -> list[float]:
    """Rates of stochastic depth, from 0 in the first block linearly to ``rate`` in the last."""
    return [rate * i / max(depth - 1, 1) for i in range(depth)]


def resolve_indices(name: str, value: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Indices of layers as a rising tuple of 0 ... depth-1, negative ones counted from the end.

    Raises:
        UserError: one is no integer or out of range, or they do not rise.
    """
    given = value if isinstance(value, Sequence) else [value]
    if not given or not all(is_integer(i, -depth) and i < depth for i in given):
        raise UserError(f'{name}={value!r} must be integers in '
                        f'{-depth} ... {depth - 1}')
    indices = tuple(i + depth if i < 0 else i for i in given)
    if list(indices) != sorted(set(indices)):
        raise UserError(f'{name}={value!r} must rise, without repeats')
    return indices


def resolve_global_blocks(window: tuple[int, int] | None, indices: Sequence[int] | None,
                          depth: int) -> Sequence[int]:
    """Blocks with global attention: ``indices``, or the last one of each quarter (ViTDet).

    Raises:
        UserError: there are indices and no window, or they are wrong.
    """
    if indices is None:
        return [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
    if window is None:
        raise UserError(f'global_attn_indexes={indices!r} needs a window_size: without one '
                        'every block is global')
    return resolve_indices('global_attn_indexes', indices, depth)


def check_heads(embed_dims: int, num_heads: int) -> None:
    """Raise `UserError` unless the channels divide among the heads."""
    if embed_dims % num_heads:
        raise UserError(f'embed_dims={embed_dims} must be a multiple of num_heads={num_heads}')


def check_rotary(head_dims: int) -> None:
    """Raise `UserError` unless half of a head's channels are pairs for each axis."""
    if head_dims % 4:
        raise UserError(f"position='rotary' needs heads of a multiple of 4 channels, got "
                        f'{head_dims}')


def check_frozen_stages(frozen_stages: int, depth: int) -> None:
    """Raise `UserError` unless -1 <= frozen_stages <= depth."""
    if not is_integer(frozen_stages, -1) or frozen_stages > depth:
        raise UserError(f'frozen_stages={frozen_stages!r} must be an integer in -1 ... {depth}')
