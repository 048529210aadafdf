"""Swin: where equal weights give other outputs than at the weights' source.

All sources of V1 agree on maps of whole windows, larger than one.
"""
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from .resizing import Size

Rule = Callable[[Size, Size], bool]


def shifts_alike(size: Size, window: Size) -> bool:
    """True if both axes are longer than the window, or none: no shift along one alone."""
    return (size[0] > window[0]) == (size[1] > window[1])


def is_whole(size: Size, window: Size) -> bool:
    """True if padding a map before or after the shift is the same, and the window as it is.

    So it is for whole windows, and for half a window more: then the mask parts exactly the padding
    from the rest.
    """
    whole = [length >= side and 2 * (length % side) in (0, side)
             for length, side in zip(size, window)]
    return shifts_alike(size, window) and all(whole)


def is_larger(size: Size, window: Size) -> bool:
    """True if a map is larger than the window along both axes."""
    return size[0] > window[0] and size[1] > window[1]


# timm 1.0 `swin_transformer.py`, torchvision 0.28 `shifted_window_attention`, transformers 4.57
# `MaskFormerSwinLayer`: for which maps each equals the backbone, and what it does with others.
RULES: dict[str, tuple[Rule, str]] = {
    'timm': (is_whole, 'timm rolls a map before padding it, shrinks the window to a smaller map '
                       'and chooses the shift of each axis by itself'),
    'torchvision': (shifts_alike, 'torchvision chooses the shift of each axis by itself'),
    'Hugging Face MaskFormer': (is_larger, 'MaskFormer shifts every map, as pad_small_map=True '
                                           'does'),
}


def differences(backbone: Any, layout: str, windows: Iterable[Size]) -> tuple[list[str], list[str]]:
    """Notes on outputs that will differ from the source's.

    Args:
        backbone: A Swin; its ``img_size`` tells the maps.
        layout: The layout's name.
        windows: The windows that the source's bias tables were made for.

    Returns:
        Notes, and warnings.
    """
    notes, warnings = [], []
    windows, window = list(dict.fromkeys(windows)), backbone.window_size
    if len(windows) > 1:
        warnings.append(f'the windows {join(windows)} of the source differ from stage to stage, '
                        f"all are {join([window])} here: outputs differ from the source's")
    if windows == [window] and layout in RULES and not getattr(backbone, 'pad_small_map', True):
        equal, what = RULES[layout]
        patch = backbone.patch_embed.projection.kernel_size
        image = f'img_size={(backbone.grid[0] * patch[0], backbone.grid[1] * patch[1])}'
        maps = [size for size in stage_maps(backbone) if not equal(size, window)]
        if maps:
            warnings.append(f"outputs differ from the source's for {image}, on maps of "
                            f'{join(maps)} with windows of {join([window])}: {what}')
        else:
            notes.append(f"outputs equal the source's for {image}, not for every size")
    return notes, warnings


def pretraining_differences(source: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Warnings of windows that Swin V2's bias does not know from the source's pre-training.

    Args:
        source: Weights of the source.
        own: Those of the backbone, of the same names.
    """
    known, wanted = [], []
    for name, offsets in own.items():
        if name.endswith('blocks.0.attn.w_msa.relative_coords_table') and name in source:
            known.append(scaled_side(source[name]))
            wanted.append(scaled_side(offsets))
    if known == wanted:
        return []
    return [f'the bias of the source is of windows of {known} (one side for each stage), that of '
            f'the backbone scales its offsets by {wanted}: outputs differ from the source\'s; set '
            f'pretrained_window_sizes={tuple(known)}']


def scaled_side(offsets: Tensor) -> int:
    """The side of the window whose longest offset a table (1, 2h-1, 2w-1, 2) scales to 8."""
    height = offsets.shape[1]
    if height < 3:
        return 1
    step = 2**(3 * float(offsets[0, height // 2 + 1, 0, 0])) - 1
    return round(8 / step) + 1


def stage_maps(backbone: Any) -> list[Size]:
    """(height, width) of the map in each stage, for the backbone's ``img_size``."""
    maps = [backbone.grid]
    for _ in backbone.stages[1:]:
        maps.append((-(-maps[-1][0] // 2), -(-maps[-1][1] // 2)))
    return maps


def join(sizes: Iterable[Size]) -> str:
    """Sizes as text: ``8x8, 4x4``."""
    return ', '.join(f'{height}x{width}' for height, width in sizes)
