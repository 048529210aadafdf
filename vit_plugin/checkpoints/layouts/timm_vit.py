"""facebookresearch/deit, which are timm's names of a ViT, and the same of DINOv2 and DINOv3."""
from torch import Tensor

from ..errors import CheckpointError
from .dino import from_dino, to_timm
from .renaming import rename, swapped

VIT = ('patch_embed.proj.weight', 'blocks.0.attn.qkv.weight')

PAIRS = [
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('blocks.{i}.norm1.', 'layers.{i}.ln1.'),
    ('blocks.{i}.norm2.', 'layers.{i}.ln2.'),
    ('blocks.{i}.mlp.fc1.', 'layers.{i}.ffn.layers.0.0.'),
    ('blocks.{i}.mlp.fc2.', 'layers.{i}.ffn.layers.1.'),
    ('blocks.{i}.mlp.w', 'layers.{i}.ffn.w'),  # DINOv2's w12 and w3
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
    return rename(from_dino(weights), PAIRS)


def to_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To timm, the inverse of `from_vit`."""
    return to_timm(rename(weights, swapped(PAIRS)))


def to_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To facebookresearch/deit or dinov2, whose names of registers and SwiGLU are OpenMMLab's.

    Raises:
        UserError: it is a DINOv3.
    """
    if 'pos_embed' not in weights:
        raise CheckpointError('DINOv3 is converted to timm, whose names facebookresearch/dinov3 '
                              'does not have')
    return rename(weights, swapped(PAIRS))
