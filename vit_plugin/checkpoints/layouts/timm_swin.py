"""microsoft/Swin-Transformer, timm, and Swin-Transformer-Object-Detection.

They share their names but for the patch merging, which belongs to the stage before it in the
official code and timm before 0.9, and to the stage after it in timm since.
"""
from torch import Tensor

from .merging import to_channel_first, to_channel_last
from .openmmlab import last_index
from .renaming import rename, swapped

SWIN = ('patch_embed.proj.weight', 'layers.0.blocks.0.attn.qkv.weight')
OFFICIAL_SWIN = (*SWIN, 'layers.0.downsample.reduction.weight')

PAIRS = [
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('layers.{i}.blocks.{j}.attn.', 'stages.{i}.blocks.{j}.attn.w_msa.'),
    ('layers.{i}.blocks.{j}.mlp.fc1.', 'stages.{i}.blocks.{j}.ffn.layers.0.0.'),
    ('layers.{i}.blocks.{j}.mlp.fc2.', 'stages.{i}.blocks.{j}.ffn.layers.1.'),
    ('layers.{i}.', 'stages.{i}.'),
]


def from_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin, from the merging at the end of a stage."""
    last = last_index(weights, 'layers.')
    head = 'head.fc.' if 'head.fc.weight' in weights else 'head.'
    pairs = [*PAIRS, ('norm.', f'norm{last}.'), (head, 'head.fc.')]
    return to_channel_first(rename(weights, pairs))


def from_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin, from the merging at the start of the next stage."""
    return from_official(move_merging(weights, -1))


def to_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_official`; norms of the earlier stages have no place there."""
    last = last_index(weights, 'stages.')
    pairs = [*swapped(PAIRS), (f'norm{last}.', 'norm.'), ('head.fc.', 'head.')]
    earlier = tuple(f'norm{i}.' for i in range(last))
    kept = {key: value for key, value in weights.items() if not key.startswith(earlier)}
    return to_channel_last(rename(kept, pairs))


def to_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_timm`; index buffers have no place there either."""
    official = {key: value for key, value in to_official(weights).items()
                if not key.endswith('relative_position_index')}
    return rename(move_merging(official, 1), [('head.', 'head.fc.')])


def move_merging(weights: dict[str, Tensor], by: int) -> dict[str, Tensor]:
    """Give each patch merging to the stage ``by`` further on."""
    pairs = [(f'layers.{i}.downsample.', f'layers.{i + by}.downsample.')
             for i in range(last_index(weights, 'layers.') + 1)]
    return rename(weights, pairs)
