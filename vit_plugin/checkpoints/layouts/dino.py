"""DINOv2 and DINOv3 beside other ViTs: registers, SwiGLU, biases without the keys'.

facebookresearch/dinov2 and dinov3, timm (``vit_*_reg4_dinov2``, ``vit_*_dinov3``) and Hugging Face
(DINOv3ViT) under OpenMMLab's names, and back to timm's. Weights without any of these pass
unchanged.
"""
import torch
from torch import Tensor

from .renaming import rename, swapped

PATCHES = 'embeddings.patch_embeddings.weight'
HUGGING_FACE = (PATCHES, 'layer.0.attention.q_proj.weight')
HUGGING_FACE_5 = (PATCHES, 'model.layer.0.attention.q_proj.weight')

# Of facebookresearch's training of DINOv3: coordinates that follow from the size, and a norm that
# only its small crops pass.
UNUSED = ('rope_embed.periods', 'local_cls_norm.')
REGISTERS = [('storage_tokens', 'register_tokens'), ('reg_token', 'register_tokens')]
BLOCK, OURS = 'layer.{i}.', 'layers.{i}.'
HUGGING_FACE_PAIRS = [
    ('embeddings.patch_embeddings.', 'patch_embed.projection.'),
    ('embeddings.', ''),
    (BLOCK + 'norm1.', OURS + 'ln1.'),
    (BLOCK + 'norm2.', OURS + 'ln2.'),
    (BLOCK + 'attention.o_proj.', OURS + 'attn.proj.'),
    (BLOCK + 'attention.', OURS + 'attn.'),
    (BLOCK + 'layer_scale1.lambda1', OURS + 'attn.gamma1.weight'),
    (BLOCK + 'layer_scale2.lambda1', OURS + 'ffn.gamma2.weight'),
    (BLOCK + 'mlp.down_proj.', OURS + 'ffn.w3.'),
    (BLOCK + 'mlp.', OURS + 'ffn.'),
    ('norm.', 'ln1.'),
]
MLP = [(OURS + 'ffn.up_proj.', OURS + 'ffn.layers.0.0.'),
       (OURS + 'ffn.w3.', OURS + 'ffn.layers.1.')]
# Names of the gate, of what it multiplies, and of both: dinov3's, timm's, those of Hugging Face's
# DINOv3 and of its DINOv2 in version 5.
GATED = (('mlp.w1.', 'mlp.w2.', 'mlp.w12.'), ('mlp.fc1_g.', 'mlp.fc1_x.', 'mlp.w12.'),
         ('ffn.gate_proj.', 'ffn.up_proj.', 'ffn.w12.'),
         ('mlp.gate_proj.', 'mlp.up_proj.', 'mlp.weights_in.'))


def from_dino(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Facebookresearch's and timm's DINOv2 and DINOv3 to the names of dinov2 for all of it."""
    used = {key: value for key, value in weights.items() if not key.startswith(UNUSED)}
    weights = join_gates(split_packed(rename(used, REGISTERS)))
    if 'register_tokens' in weights and 'pos_embed' not in weights:
        weights = join_biases(weights)
    return weights


def from_hugging_face(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's DINOv3ViT to OpenMMLab's names."""
    version_4 = rename(weights, [('model.layer.{i}.', 'layer.{i}.')])
    weights = join_gates(rename(version_4, HUGGING_FACE_PAIRS))
    if 'layers.0.ffn.w12.weight' not in weights:
        weights = rename(weights, MLP)
    fused = {}
    for key, value in weights.items():
        if '.q_proj.' in key:
            parts = [key.replace('.q_proj.', f'.{name}_proj.') for name in 'qkv']
            values = [weights.get(part, torch.zeros_like(value)) for part in parts]
            fused[key.replace('.q_proj.', '.qkv.')] = torch.cat(values)
        elif '.k_proj.' not in key and '.v_proj.' not in key:
            fused[key] = value
    return fused


def split_packed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's ``fc1`` and ``fc2`` of SwiGLU, known by ``fc1``'s twice as many channels."""
    first, last = (weights.get(f'blocks.0.mlp.fc{i}.weight') for i in (1, 2))
    if first is None or last is None or first.shape[0] != 2 * last.shape[1]:
        return weights
    return {key.replace('mlp.fc1.', 'mlp.w12.').replace('mlp.fc2.', 'mlp.w3.'): value
            for key, value in weights.items()}


def join_gates(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The two first layers of SwiGLU as one, ``w12``."""
    joined = dict(weights)
    for key in weights:
        for gate, other, both in GATED:
            if gate in key:
                parts = [joined.pop(key), joined.pop(key.replace(gate, other))]
                joined[key.replace(gate, both)] = torch.cat(parts)
    if any('.mlp.w12.' in key for key in joined):
        joined = {key.replace('.mlp.fc2.', '.mlp.w3.'): value for key, value in joined.items()}
    return joined


def join_biases(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Biases of queries and values, as timm and dinov3 have them, as one; 0 for the keys."""
    joined = {key: value for key, value in weights.items() if not key.endswith('qkv.bias_mask')}
    for key, value in weights.items():
        if key.endswith('attn.qkv.bias'):
            q, k, v = value.chunk(3)
            joined[key] = torch.cat((q, torch.zeros_like(k), v))
        elif key.endswith('attn.q_bias'):
            q, v = joined.pop(key), joined.pop(key.replace('q_bias', 'v_bias'))
            joined[key.replace('q_bias', 'qkv.bias')] = torch.cat((q, torch.zeros_like(q), v))
    return joined


def to_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the names of `from_dino` to timm's: of its ViT, or of its Eva where there is rope."""
    kept = {key: value for key, value in weights.items() if key != 'mask_token'}
    if 'register_tokens' not in kept and not any('.mlp.w12.' in key for key in kept):
        return weights
    if 'pos_embed' not in kept:
        return to_eva(rename(kept, swapped(REGISTERS[1:])))
    packed = [('blocks.{i}.mlp.w12.', 'blocks.{i}.mlp.fc1.'),
              ('blocks.{i}.mlp.w3.', 'blocks.{i}.mlp.fc2.')]
    if 'register_tokens' in kept:  # timm's class token has its position in itself
        position = kept['pos_embed']
        kept['cls_token'] = kept['cls_token'] + position[:, :1]
        kept['pos_embed'] = position[:, 1:]
    return rename(kept, [*swapped(REGISTERS[1:]), *packed])


def to_eva(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """DINOv3's blocks as timm's Eva has them, with biases of queries and values."""
    split = {}
    for key, value in weights.items():
        if '.mlp.w12.' in key:
            gate, other = value.chunk(2)
            split[key.replace('.w12.', '.fc1_g.')] = gate
            split[key.replace('.w12.', '.fc1_x.')] = other
        elif key.endswith('attn.qkv.bias'):
            q, _, v = value.chunk(3)
            split[key.replace('qkv.bias', 'q_bias')] = q
            split[key.replace('qkv.bias', 'v_bias')] = v
        else:
            split[key.replace('.ls1.gamma', '.gamma_1').replace('.ls2.gamma', '.gamma_2')
                  .replace('.mlp.w3.', '.mlp.fc2.')] = value
    return split
