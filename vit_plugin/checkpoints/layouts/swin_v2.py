"""Swin V2 of the official code, timm, Hugging Face (4 and 5) and torchvision: V1's names and new
ones.

OpenMMLab's V2 has each patch merging at the start of a stage, where its V1 has it at the end.
"""
from torch import Tensor

from ..errors import CheckpointError
from . import huggingface, openmmlab, timm_swin, torchvision
from .renaming import rename, swapped

ATTENTION = 'layers.0.blocks.0.attn.cpb_mlp.0.weight'
OFFICIAL = (*timm_swin.OFFICIAL_SWIN, ATTENTION)
TIMM = (*timm_swin.SWIN, ATTENTION)
BIAS_MLP = 'encoder.layers.{i}.blocks.{j}.attention.self.continuous_position_bias_mlp.'
HUGGING_FACE = (*huggingface.SWIN, BIAS_MLP.format(i=0, j=0) + '0.weight')
TORCHVISION = (*torchvision.SWIN, 'features.1.0.attn.cpb_mlp.0.weight')
OPENMMLAB = (*openmmlab.SWIN, 'stages.0.blocks.0.attn.w_msa.cpb_mlp.0.weight')
# timm's swinv2_cr_*, another model with the same name
TIMM_CR = ('patch_embed.proj.weight', 'stages.0.blocks.0.attn.meta_mlp.fc1.weight')

SELF = 'encoder.layers.{i}.blocks.{j}.attention.self.'
HUGGING_FACE_PAIRS = [
    (BIAS_MLP, SELF + 'cpb_mlp.'),
    (SELF + 'query.bias', SELF + 'q_bias'),
    (SELF + 'value.bias', SELF + 'v_bias'),
]
# Stages of V1, and of V2.
MERGINGS = [(f'stages.{i}.downsample.', f'stages.{i + 1}.downsample.') for i in range(-1, 9)]


def from_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin V2, from the merging at the end of a stage."""
    return rename(timm_swin.from_official(weights), MERGINGS)


def from_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin V2."""
    return rename(timm_swin.from_timm(weights), MERGINGS)


def from_hugging_face(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin V2; keys have no bias there either."""
    return rename(huggingface.from_swin(rename(weights, HUGGING_FACE_PAIRS)), MERGINGS)


def from_torchvision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin V2, without the bias of the keys, which torchvision sets to 0."""
    separate: dict[str, Tensor] = {}
    for key, value in torchvision.from_swin(weights).items():
        if key.endswith('.qkv.bias'):
            q, _, v = value.chunk(3)
            start = key.removesuffix('qkv.bias')
            separate |= {f'{start}q_bias': q, f'{start}v_bias': v}
        else:
            separate[key] = value
    return rename(separate, MERGINGS)


def from_timm_cr(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Refuse another model of that name."""
    raise CheckpointError("it is of timm's swinv2_cr_*, another model than Swin V2, whose weights "
                          "are timm's swinv2_* without 'cr'")


def to_official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_official`; norms of the earlier stages have no place there."""
    return timm_swin.to_official(rename(weights, swapped(MERGINGS)))


def to_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_timm`; what follows from the window has no place there either."""
    kept = {key: value for key, value in weights.items()
            if not key.endswith('relative_coords_table')}
    return timm_swin.to_timm(rename(kept, swapped(MERGINGS)))
