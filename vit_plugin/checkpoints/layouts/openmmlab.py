"""OpenMMLab: mmpretrain, mmdet, mmseg, and the older names of mmcls and mmseg."""
from torch import Tensor

from .renaming import rename

SWIN = ('patch_embed.projection.weight', 'stages.0.blocks.0.attn.w_msa.qkv.weight')
VIT = ('patch_embed.projection.weight', 'layers.0.attn.qkv.weight')
DISTILLED = (*VIT, 'dist_token')
# mmseg's ViT uses torch's MultiheadAttention
MULTIHEAD_VIT = ('patch_embed.projection.weight', 'layers.0.attn.attn.in_proj_weight')

OLDER_VIT = [
    ('layers.{i}.attn.attn.in_proj_', 'layers.{i}.attn.qkv.'),
    ('layers.{i}.attn.attn.out_proj.', 'layers.{i}.attn.proj.'),
    ('layers.{i}.norm1.', 'layers.{i}.ln1.'),
    ('layers.{i}.norm2.', 'layers.{i}.ln2.'),
    ('norm1.', 'ln1.'),
    ('ln_pre.', 'pre_norm.'),
]


def from_swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To mmpretrain's present names; mmcls called the norm after the last stage ``norm``."""
    return rename(weights, [('norm.', f'norm{last_index(weights, "stages.")}.')])


def from_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To mmpretrain's present names."""
    return rename(weights, OLDER_VIT)


def last_index(weights: dict[str, Tensor], start: str) -> int:
    """The highest number after ``start`` in the keys."""
    numbers = (key.removeprefix(start).split('.')[0] for key in weights if key.startswith(start))
    return max((int(number) for number in numbers if number.isdigit()), default=0)
