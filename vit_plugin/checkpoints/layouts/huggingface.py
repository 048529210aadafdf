"""Hugging Face transformers: DeiT, ViT, DINOv2 and Swin, their backbones, models around them."""
import torch
from torch import Tensor

from .merging import to_channel_first
from .openmmlab import last_index
from .renaming import rename

SWIN = ('embeddings.patch_embeddings.projection.weight',
        'encoder.layers.0.blocks.0.attention.self.query.weight')
MASKFORMER = (*(f'model.{key}' for key in SWIN), 'hidden_states_norms.0.weight')
VIT = ('embeddings.patch_embeddings.projection.weight',
       'encoder.layer.0.attention.attention.query.weight')

VIT_PAIRS = [
    ('embeddings.cls_token', 'cls_token'),
    ('embeddings.distillation_token', 'dist_token'),
    ('embeddings.mask_token', 'mask_token'),
    ('embeddings.position_embeddings', 'pos_embed'),
    ('embeddings.patch_embeddings.', 'patch_embed.'),
    ('encoder.layer.{i}.layernorm_before.', 'layers.{i}.ln1.'),
    ('encoder.layer.{i}.layernorm_after.', 'layers.{i}.ln2.'),
    ('encoder.layer.{i}.attention.attention.', 'layers.{i}.attn.'),
    ('encoder.layer.{i}.attention.output.dense.', 'layers.{i}.attn.proj.'),
    ('encoder.layer.{i}.intermediate.dense.', 'layers.{i}.ffn.layers.0.0.'),
    ('encoder.layer.{i}.output.dense.', 'layers.{i}.ffn.layers.1.'),
    # DINOv2
    ('encoder.layer.{i}.norm1.', 'layers.{i}.ln1.'),
    ('encoder.layer.{i}.norm2.', 'layers.{i}.ln2.'),
    ('encoder.layer.{i}.mlp.fc1.', 'layers.{i}.ffn.layers.0.0.'),
    ('encoder.layer.{i}.mlp.fc2.', 'layers.{i}.ffn.layers.1.'),
    ('encoder.layer.{i}.mlp.weights_in.', 'layers.{i}.ffn.w12.'),
    ('encoder.layer.{i}.mlp.weights_out.', 'layers.{i}.ffn.w3.'),
    ('encoder.layer.{i}.layer_scale1.lambda1', 'layers.{i}.attn.gamma1.weight'),
    ('encoder.layer.{i}.layer_scale2.lambda1', 'layers.{i}.ffn.gamma2.weight'),
    ('encoder.layer.{i}.', 'layers.{i}.'),
    ('embeddings.', ''),
    ('layernorm.', 'ln1.'),
    ('distillation_classifier.', 'head.layers.head_dist.'),
    ('cls_classifier.', 'head.layers.head.'),
    ('classifier.', 'head.layers.head.'),
]
SWIN_PAIRS = [
    ('embeddings.position_embeddings', 'absolute_pos_embed'),
    ('embeddings.mask_token', 'mask_token'),
    ('embeddings.patch_embeddings.', 'patch_embed.'),
    ('embeddings.norm.', 'patch_embed.norm.'),
    ('encoder.layers.{i}.blocks.{j}.layernorm_before.', 'stages.{i}.blocks.{j}.norm1.'),
    ('encoder.layers.{i}.blocks.{j}.layernorm_after.', 'stages.{i}.blocks.{j}.norm2.'),
    ('encoder.layers.{i}.blocks.{j}.attention.self.', 'stages.{i}.blocks.{j}.attn.w_msa.'),
    ('encoder.layers.{i}.blocks.{j}.attention.output.dense.',
     'stages.{i}.blocks.{j}.attn.w_msa.proj.'),
    ('encoder.layers.{i}.blocks.{j}.intermediate.dense.', 'stages.{i}.blocks.{j}.ffn.layers.0.0.'),
    ('encoder.layers.{i}.blocks.{j}.output.dense.', 'stages.{i}.blocks.{j}.ffn.layers.1.'),
    ('encoder.layers.{i}.', 'stages.{i}.'),
    # the backbone numbers the outputs of the stages from 1
    *((f'hidden_states_norms.stage{i + 1}.', f'norm{i}.') for i in range(9)),
    ('hidden_states_norms.{i}.', 'norm{i}.'),  # but MaskFormer's from 0
    ('classifier.', 'head.fc.'),
]
# Beside the model under ``swin.``, ``deit.`` or ``vit.``; the norms are version 5's SwinBackbone's.
HEADS = ('classifier.', 'cls_classifier.', 'distillation_classifier.', 'hidden_states_norms.')


def from_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's DeiT and DistilledDeiT; DINOv2's tokens and layers have names of their own."""
    return rename(fuse_qkv(weights), VIT_PAIRS)


def from_swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin; where outputs have norms, none passes the model's own."""
    if any(key.startswith('hidden_states_norms.') for key in weights):
        weights = {key: value for key, value in weights.items()
                   if not key.startswith(('layernorm.', 'swin.layernorm.'))}
    last = last_index(weights, 'encoder.layers.')
    pairs = [*SWIN_PAIRS, ('layernorm.', f'norm{last}.')]
    return to_channel_first(rename(fuse_qkv(weights), pairs))


def from_maskformer(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin, with the norms of its outputs beside it."""
    return from_swin({key.removeprefix('model.'): value for key, value in weights.items()})


def fuse_qkv(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values as one linear layer ``qkv``."""
    fused = {}
    for key, value in weights.items():
        if '.query.' in key:
            parts = [key.replace('.query.', f'.{name}.') for name in ('query', 'key', 'value')]
            fused[key.replace('.query.', '.qkv.')] = torch.cat([weights[part] for part in parts])
        elif '.key.' not in key and '.value.' not in key:
            fused[key] = value
    return fused


def heads_beside(prefix: str) -> tuple[str, tuple[str, ...]]:
    """The heads and norms beside the model under ``swin.``, ``deit.`` or ``vit.``.

    Returns:
        Their prefix, and the starts of their keys; none for another model.
    """
    for model in ('swin.', 'swinv2.', 'deit.', 'vit.'):
        if prefix.endswith(model):
            owner = prefix.removesuffix(model)
            return owner, tuple(owner + head for head in HEADS)
    return '', ()
