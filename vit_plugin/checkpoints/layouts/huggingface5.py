"""Hugging Face transformers 5: other names than version 4's inside DeiT, ViT, DINOv2 and Swin.

These are the names of ``torch.save(model.state_dict())``; `save_pretrained` keeps version 4's.
"""
from torch import Tensor

from . import huggingface
from .dino import join_gates
from .renaming import rename

PATCHES = 'embeddings.patch_embeddings.projection.weight'
SWIN = (PATCHES, 'encoder.layers.0.blocks.0.attention.q_proj.weight')
VIT = (PATCHES, 'layers.0.attention.q_proj.weight')
DINOV2 = (PATCHES, 'encoder.layer.0.attention.q_proj.weight')

# Names of version 5, and of version 4.
VIT_PAIRS = [
    ('encoder.layer.{i}.attention.q_proj.', 'encoder.layer.{i}.attention.attention.query.'),
    ('encoder.layer.{i}.attention.k_proj.', 'encoder.layer.{i}.attention.attention.key.'),
    ('encoder.layer.{i}.attention.v_proj.', 'encoder.layer.{i}.attention.attention.value.'),
    ('encoder.layer.{i}.attention.o_proj.', 'encoder.layer.{i}.attention.output.dense.'),
    ('encoder.layer.{i}.attention.', 'encoder.layer.{i}.attention.attention.'),  # BEiT
    ('encoder.layer.{i}.mlp.down_proj.', 'encoder.layer.{i}.mlp.weights_out.'),  # DINOv2's SwiGLU
]
SWIN_BLOCK = 'encoder.layers.{i}.blocks.{j}.'
SWIN_PAIRS = [
    (SWIN_BLOCK + 'attention.q_proj.', SWIN_BLOCK + 'attention.self.query.'),
    (SWIN_BLOCK + 'attention.k_proj.', SWIN_BLOCK + 'attention.self.key.'),
    (SWIN_BLOCK + 'attention.v_proj.', SWIN_BLOCK + 'attention.self.value.'),
    (SWIN_BLOCK + 'attention.o_proj.', SWIN_BLOCK + 'attention.output.dense.'),
    (SWIN_BLOCK + 'attention.relative_position_bias.', SWIN_BLOCK + 'attention.self.'),
    (SWIN_BLOCK + 'mlp.fc1.', SWIN_BLOCK + 'intermediate.dense.'),
    (SWIN_BLOCK + 'mlp.fc2.', SWIN_BLOCK + 'output.dense.'),
]


def from_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's DeiT and DistilledDeiT, also from DINOv2."""
    layers = rename(weights, [('layers.{i}.', 'encoder.layer.{i}.')])  # as DINOv2's are named
    return huggingface.from_vit(join_gates(rename(layers, VIT_PAIRS)))


def from_swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin."""
    return huggingface.from_swin(rename(weights, SWIN_PAIRS))
