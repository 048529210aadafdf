"""torchvision: ``vit_*``, ``swin_*`` and, for a backbone that has them, ``swin_v2_*``."""
from torch import Tensor

from .merging import to_channel_first
from .openmmlab import last_index
from .renaming import rename

SWIN = ('features.0.0.weight', 'features.1.0.attn.qkv.weight')
VIT = ('conv_proj.weight', 'encoder.layers.encoder_layer_0.self_attention.in_proj_weight')

VIT_BLOCK = 'encoder.layers.encoder_layer_{i}.'
VIT_PAIRS = [
    ('class_token', 'cls_token'),
    ('conv_proj.', 'patch_embed.projection.'),
    ('encoder.pos_embedding', 'pos_embed'),
    (VIT_BLOCK + 'ln_1.', 'layers.{i}.ln1.'),
    (VIT_BLOCK + 'ln_2.', 'layers.{i}.ln2.'),
    (VIT_BLOCK + 'self_attention.in_proj_', 'layers.{i}.attn.qkv.'),
    (VIT_BLOCK + 'self_attention.out_proj.', 'layers.{i}.attn.proj.'),
    # torchvision < 0.14 called the two layers of the MLP linear_1 and linear_2
    (VIT_BLOCK + 'mlp.0.', 'layers.{i}.ffn.layers.0.0.'),
    (VIT_BLOCK + 'mlp.linear_1.', 'layers.{i}.ffn.layers.0.0.'),
    (VIT_BLOCK + 'mlp.3.', 'layers.{i}.ffn.layers.1.'),
    (VIT_BLOCK + 'mlp.linear_2.', 'layers.{i}.ffn.layers.1.'),
    ('encoder.ln.', 'ln1.'),
    ('heads.head.', 'head.layers.head.'),
    ('heads.pre_logits.', 'head.layers.pre_logits.'),
]
SWIN_PAIRS = [
    ('features.0.0.', 'patch_embed.projection.'),
    ('features.0.2.', 'patch_embed.norm.'),
    ('blocks.{i}.{j}.attn.', 'stages.{i}.blocks.{j}.attn.w_msa.'),
    ('blocks.{i}.{j}.mlp.0.', 'stages.{i}.blocks.{j}.ffn.layers.0.0.'),
    ('blocks.{i}.{j}.mlp.3.', 'stages.{i}.blocks.{j}.ffn.layers.1.'),
    ('blocks.{i}.{j}.', 'stages.{i}.blocks.{j}.'),
    ('head.', 'head.fc.'),
]


def from_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's ViT."""
    return rename(weights, VIT_PAIRS)


def from_swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To OpenMMLab's Swin, from stages and mergings in one sequence, and flat indices."""
    last = (last_index(weights, 'features.') - 1) // 2
    parts = []
    for i in range(last + 1):
        parts.append((f'features.{2 * i + 1}.', f'blocks.{i}.'))
        parts.append((f'features.{2 * i + 2}.', f'stages.{i}.downsample.'))
    renamed = rename(rename(weights, parts), [*SWIN_PAIRS, ('norm.', f'norm{last}.')])
    for key, value in renamed.items():
        if key.endswith('relative_position_index') and value.ndim == 1:
            side = round(len(value)**0.5)
            renamed[key] = value.reshape(side, side)
    return to_channel_first(renamed)
