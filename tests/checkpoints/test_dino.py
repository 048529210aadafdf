"""DINOv2 and DINOv3 of facebookresearch, timm and Hugging Face compute the same here, and back."""
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from vit_plugin.backbones import DeiT, DINOv2, DINOv3
from vit_plugin.checkpoints import CheckpointError, from_openmmlab, load_pretrained, to_openmmlab

from .checkpoint_models import VIT, assert_close, image, randomise

MLP = 64
# Of images by the side of a patch: as trained, with more patches and with fewer.
SIZES = {14: ((56, 56), (84, 70), (28, 42)), 16: ((64, 64), (96, 80), (32, 48))}


def timm_dinov2(**options: object) -> nn.Module:
    return randomise(timm.create_model(
        'vit_small_patch14_reg4_dinov2', img_size=56, embed_dim=16, depth=3, num_heads=2,
        num_classes=0, dynamic_img_size=True, **options))


def timm_dinov3(name: str = 'vit_small_patch16_dinov3_qkvb') -> nn.Module:
    return randomise(timm.create_model(name, img_size=64, embed_dim=16, depth=3, num_heads=2))


def hf_dinov2(**options: object) -> nn.Module:
    if not hasattr(transformers, 'Dinov2WithRegistersModel'):
        pytest.skip('transformers 4.44 has no such model')
    return randomise(transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, mlp_ratio=4, image_size=56,
        patch_size=14, **options)))


def hf_dinov3(**options: object) -> nn.Module:
    if not hasattr(transformers, 'DINOv3ViTModel'):
        pytest.skip('transformers 4.44 has no such model')
    return randomise(transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=MLP,
        num_register_tokens=4, image_size=64, **options)))


def dinov2(**options: object) -> DINOv2:
    return randomise(DINOv2(**{**dict(arch=VIT, img_size=56, out_type='raw'), **options}), seed=9)


def dinov3(**options: object) -> DINOv3:
    return randomise(DINOv3(**{**dict(arch=VIT, img_size=64, out_type='raw'), **options}), seed=9)


def gated(build: Callable[..., DeiT], hidden: int = MLP) -> DeiT:
    return build(arch=dict(VIT, feedforward_channels=hidden), variant=dict(ffn_type='swiglu'))


def tokens(model: nn.Module, x: Tensor) -> Tensor:
    """All tokens after the final norm, (B, N, C), of any of the sources."""
    with torch.no_grad():
        if hasattr(model, 'forward_features'):
            return model.forward_features(x)
        outputs = model(x)
        return outputs[0] if isinstance(outputs, tuple) else outputs.last_hidden_state


def assert_equal(theirs: nn.Module, ours: DeiT, path: Path,
                 weights: dict[str, Tensor] | None = None) -> None:
    """Every token at the trained size and two others, one of them smaller."""
    torch.save(theirs.state_dict() if weights is None else weights, path / 'a.pth')
    load_pretrained(ours, path / 'a.pth', threshold=1.)
    for size in SIZES[ours.patch_embed.patch_size[0]]:
        x = image(size)
        assert_close(tokens(ours, x), tokens(theirs, x))


DINOV2 = {
    'timm': (timm_dinov2, dinov2),
    'timm, SwiGLU': (lambda: timm_dinov2(
        mlp_ratio=8, mlp_layer=timm.layers.SwiGLUPacked, act_layer=nn.SiLU), lambda: gated(dinov2)),
    'Hugging Face': (hf_dinov2, dinov2),
    'Hugging Face, SwiGLU': (lambda: hf_dinov2(use_swiglu_ffn=True), lambda: gated(dinov2, 48)),
}
DINOV3 = {
    'timm': (timm_dinov3, dinov3),
    'timm without biases': (lambda: timm_dinov3('vit_small_patch16_dinov3'), dinov3),
    'timm, SwiGLU': (lambda: timm_dinov3('vit_small_plus_patch16_dinov3_qkvb'),
                     lambda: gated(dinov3)),
    'Hugging Face': (hf_dinov3, dinov3),
    'Hugging Face, SwiGLU': (lambda: hf_dinov3(use_gated_mlp=True, hidden_act='silu'),
                             lambda: gated(dinov3)),
}
SOURCES = {f'{kind}, {name}': pair for kind, pairs in (('DINOv2', DINOV2), ('DINOv3', DINOV3))
           for name, pair in pairs.items()}


@pytest.mark.parametrize('source', SOURCES)
def test_in(source: str, tmp_path: Path) -> None:
    build_theirs, build_ours = SOURCES[source]
    assert_equal(build_theirs(), build_ours(), tmp_path)


def version_5(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of transformers 5 (5.24.0) for version 4's, of both models."""
    renamed = {}
    for key, value in weights.items():
        key = key.replace('attention.attention.query', 'attention.q_proj')
        key = key.replace('attention.attention.key', 'attention.k_proj')
        key = key.replace('attention.attention.value', 'attention.v_proj')
        key = key.replace('attention.output.dense', 'attention.o_proj')
        key = key.replace('mlp.weights_out', 'mlp.down_proj')
        key = f'model.{key}' if key.startswith('layer.') else key
        if 'mlp.weights_in' in key:
            for name, part in zip(('gate_proj', 'up_proj'), value.chunk(2)):
                renamed[key.replace('weights_in', name)] = part
        else:
            renamed[key] = value
    return renamed


@pytest.mark.parametrize('source', [name for name in SOURCES if 'Hugging Face' in name])
def test_names_of_transformers_5(source: str, tmp_path: Path) -> None:
    build_theirs, build_ours = SOURCES[source]
    theirs = build_theirs()
    assert_equal(theirs, build_ours(), tmp_path, version_5(theirs.state_dict()))


def official_dinov2(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's weights with registers under the names of facebookresearch/dinov2.

    There, the class token has a position (models/vision_transformer.py).
    """
    position = 0.2 * torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(3))
    official = {key.replace('reg_token', 'register_tokens'): value
                for key, value in weights.items()}
    official['cls_token'] = weights['cls_token'] - position
    official['pos_embed'] = torch.cat((position, weights['pos_embed']), dim=1)
    official['mask_token'] = torch.zeros(1, 16)
    if weights['blocks.0.mlp.fc1.weight'].shape[0] == 2 * MLP:
        official = {key.replace('mlp.fc1', 'mlp.w12').replace('mlp.fc2', 'mlp.w3'): value
                    for key, value in official.items()}
    return official


@pytest.mark.parametrize('source', ['timm', 'timm, SwiGLU'])
def test_official_dinov2(source: str, tmp_path: Path) -> None:
    build_theirs, build_ours = DINOV2[source]
    theirs = build_theirs()
    assert_equal(theirs, build_ours(), tmp_path, official_dinov2(theirs.state_dict()))


def official_dinov3(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's weights under the names of facebookresearch/dinov3 (models/vision_transformer.py).

    The keys' part of the bias is there, whatever it is, and masked.
    """
    official = {'rope_embed.periods': torch.ones(2), 'mask_token': torch.zeros(1, 16),
                'local_cls_norm.weight': torch.ones(16), 'local_cls_norm.bias': torch.ones(16)}
    names = {'reg_token': 'storage_tokens', 'gamma_1': 'ls1.gamma', 'gamma_2': 'ls2.gamma',
             'mlp.fc1_g': 'mlp.w1', 'mlp.fc1_x': 'mlp.w2'}
    if 'blocks.0.mlp.fc1_g.weight' in weights:
        names['mlp.fc2'] = 'mlp.w3'
    for key, value in weights.items():
        if key.endswith('v_bias'):
            continue
        if key.endswith('q_bias'):
            start = key.removesuffix('q_bias') + 'qkv.bias'
            official[f'{start}_mask'] = torch.ones(48)
            key = start
            value = torch.cat((value, torch.full((16,), 7.), weights[start[:-8] + 'v_bias']))
        for old, new in names.items():
            key = key.replace(old, new)
        official[key] = value
    return official


@pytest.mark.parametrize('source', ['timm', 'timm, SwiGLU'])
def test_official_dinov3(source: str, tmp_path: Path) -> None:
    build_theirs, build_ours = DINOV3[source]
    theirs = build_theirs()
    assert_equal(theirs, build_ours(), tmp_path, official_dinov3(theirs.state_dict()))


@pytest.mark.parametrize('source', [name for name in SOURCES if 'timm' in name])
def test_out_to_timm(source: str) -> None:
    """Weights of here in timm's model: ``strict=True``, the same tokens at every size."""
    build_theirs, build_ours = SOURCES[source]
    theirs, ours = build_theirs(), build_ours()
    weights = {f'backbone.{key}': value for key, value in ours.state_dict().items()}
    if 'without' in source:
        weights = {key: value for key, value in weights.items() if 'qkv.bias' not in key}
        for block in ours.layers:
            nn.init.zeros_(block.attn.qkv.bias)
    theirs.load_state_dict(from_openmmlab(weights, 'timm'), strict=True)
    for size in SIZES[ours.patch_embed.patch_size[0]]:
        assert_close(tokens(ours, image(size)), tokens(theirs, image(size)))


@pytest.mark.parametrize('source', [name for name in SOURCES if 'timm' in name])
def test_there_and_back_is_exact(source: str) -> None:
    weights = SOURCES[source][0]().state_dict()
    back = from_openmmlab(to_openmmlab(weights)[0], 'timm')
    assert back.keys() == weights.keys()
    if 'DINOv2' not in source:  # whose class token has a position in between, that is not known
        assert all(torch.equal(back[key], value) for key, value in weights.items())


def test_out_to_the_official_code() -> None:
    weights = official_dinov2(DINOV2['timm, SwiGLU'][0]().state_dict())
    back = from_openmmlab(to_openmmlab(weights)[0], 'official')
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[key], value) for key, value in weights.items())
    with pytest.raises(CheckpointError, match='DINOv3 is converted to timm'):
        from_openmmlab(to_openmmlab(timm_dinov3().state_dict())[0], 'official')


def test_positions_without_registers_are_scaled_as_in_dinov2() -> None:
    """facebookresearch/dinov2 (models/vision_transformer.py): ``(h + 0.1) / sqrt(N)``."""
    ours = dinov2(num_register_tokens=0)
    grid = ours.pos_embed[:, 1:].detach().reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
    scale = ((6 + 0.1) / 4, (5 + 0.1) / 4)
    expected = nn.functional.interpolate(grid, scale_factor=scale, mode='bicubic')
    assert expected.shape[2:] == (6, 5)
    actual = ours.variant.resize_position(ours.pos_embed, (4, 4), (6, 5), 1)[:, 1:]
    assert_close(actual.detach(), expected.flatten(2).transpose(1, 2), 1e-6)
    other = nn.functional.interpolate(grid, size=(6, 5), mode='bicubic')
    assert not torch.allclose(expected, other, rtol=1e-3)


def test_another_size_at_the_load_is_as_in_the_forward(tmp_path: Path) -> None:
    torch.save(dinov2().state_dict(), tmp_path / 'a.pth')
    fitted, kept = dinov2(img_size=(84, 70)), dinov2()
    for model in (fitted, kept):
        load_pretrained(model, tmp_path / 'a.pth')
    assert_close(tokens(fitted, image((84, 70))), tokens(kept, image((84, 70))))


def test_windows_leave_registers_out(tmp_path: Path) -> None:
    theirs = dinov2()
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    ours = dinov2(out_type='featmap', window_size=2)
    load_pretrained(ours, tmp_path / 'a.pth')
    assert torch.equal(ours.pos_embed, theirs.pos_embed[:, 1:])


@pytest.mark.parametrize(('theirs', 'ours', 'reason'), [
    (timm_dinov2, lambda: dinov2(num_register_tokens=0), 'with registers: take vit_plugin.DINOv2'),
    (timm_dinov3, lambda: dinov2(patch_size=16), r'pos_embed \(absent: .*vit_plugin.DINOv3'),
    (timm_dinov2, lambda: dinov3(patch_size=14), 'only in the checkpoint: pos_embed'),
    (DINOV3['timm, SwiGLU'][0], dinov3, r"variant=dict\(ffn_type='swiglu'\)"),
    (lambda: timm.create_model('eva02_tiny_patch14_224', img_size=56, embed_dim=16, depth=3,
                               num_heads=2),
     lambda: gated(dinov2), 'only in the checkpoint: layers.0.attn.q_bias'),
])
def test_refusals_name_the_reason(theirs: Callable[[], nn.Module], ours: Callable[[], DeiT],
                                  reason: str, tmp_path: Path) -> None:
    torch.save(theirs().state_dict(), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=reason):
        load_pretrained(ours(), tmp_path / 'a.pth')
