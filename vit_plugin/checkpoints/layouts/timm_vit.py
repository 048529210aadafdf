"""facebookresearch/deit, which are timm's names of a ViT."""
from torch import Tensor

from .renaming import rename, swapped

VIT = ('patch_embed.proj.weight', 'blocks.0.attn.qkv.weight')

PAIRS = [
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('blocks.{i}.norm1.', 'layers.{i}.ln1.'),
    ('blocks.{i}.norm2.', 'layers.{i}.ln2.'),
    ('blocks.{i}.mlp.fc1.', 'layers.{i}.ffn.layers.0.0.'),
    ('blocks.{i}.mlp.fc2.', 'layers.{i}.ffn.layers.1.'),
    ('blocks.{i}.ls1.gamma', 'layers.{i}.attn.gamma1.weight'),
    ('blocks.{i}.ls2.gamma', 'layers.{i}.ffn.gamma2.weight'),
    # facebookresearch/deit's DeiT III
    ('blocks.{i}.gamma_1', 'layers.{i}.attn.gamma1.weight'),
    ('blocks.{i}.gamma_2', 'layers.{i}.ffn.gamma2.weight'),
    ('blocks.{i}.', 'layers.{i}.'),
    ('norm.', 'ln1.'),
    ('fc_norm.', 'ln2.'),
    ('pre_logits.fc.', 'head.layers.pre_logits.'),
    ('head_dist.', 'head.layers.head_dist.'),
    ('head.', 'head.layers.head.'),
]


def from_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's DeiT and DistilledDeiT."""
    return rename(weights, PAIRS)


def to_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_vit`."""
    return rename(weights, swapped(PAIRS))
