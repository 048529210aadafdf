"""`LoRA` against the formula, W + B A alpha / r, in weights of the plain backbone."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from torch import Tensor, nn

from tests.conftest import needs
from vit_plugin.backbones import merge_lora
from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

pytest.importorskip('peft')

VIT = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
SWIN = dict(arch=dict(embed_dims=8, depths=(1, 2), num_heads=(1, 2)), out_indices=(0, 1),
            drop_path_rate=0.)
BACKBONES = [
    dict(type='DINOv3', arch=VIT, out_type='featmap'),
    dict(type='DeiT', arch=VIT, out_type='featmap', img_size=64, window_size=3, with_cp=True),
    dict(type='SwinTransformer', **SWIN),
    dict(type='SwinTransformerV2', **SWIN, window_size=4, with_cp=True),
]
IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
all_backbones = pytest.mark.parametrize('config', BACKBONES, ids=lambda config: config['type'])


def build(config: dict[str, Any], **settings: Any) -> nn.Module:
    """The backbone with adapters of rank 2 that change it."""
    model = MODELS.build(dict(type='LoRA', backbone=config, r=2, lora_alpha=6, **settings))
    for name, parameter in model.named_parameters():
        if 'lora_B' in name:
            nn.init.normal_(parameter, std=0.1)
    return model


def by_hand(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the plain backbone with the adapters' added."""
    plain = {key: value for key, value in state.items() if 'lora' not in key}
    for key, value in state.items():
        if key.endswith('lora_A.default.weight'):
            layer = key.removesuffix('lora_A.default.weight')
            plain[f'{layer}weight'] = (
                plain[f'{layer}weight'] + 6 / 2 * state[f'{layer}lora_B.default.weight'] @ value)
    return plain


@all_backbones
def test_equals_added_weights(config: dict[str, Any]) -> None:
    """Outputs in both modes, and gradients of the adapters' products."""
    lora, plain = build(config), MODELS.build(config)
    plain.load_state_dict(by_hand(lora.state_dict()))
    assert {name.split('.')[-3] for name, parameter in lora.named_parameters()
            if parameter.requires_grad} == {'lora_A', 'lora_B'}
    for model in (lora, plain):
        sum(out.square().sum() for out in model(IMAGE)).backward()
    weights = dict(plain.named_parameters())
    seen = 0
    for name, parameter in lora.named_parameters():
        if 'lora_B' in name:
            layer = name.removesuffix('lora_B.default.weight')
            a = lora.get_parameter(f'{layer}lora_A.default.weight')
            expected = 3 * weights[f'{layer}weight'].grad @ a.T
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-4)
            seen += 1
    assert seen == 2 * (2 if 'num_layers' in config['arch'] else 3)
    with torch.no_grad():
        torch.testing.assert_close(lora.eval()(IMAGE), plain.eval()(IMAGE), rtol=1e-5, atol=1e-5)


@all_backbones
def test_merged_weights(config: dict[str, Any]) -> None:
    lora = build(config)
    model = nn.ModuleDict(dict(backbone=lora, head=nn.Linear(1, 1)))
    merged = merge_lora(model.state_dict(), dict(type='LoRA', backbone=config, r=2, lora_alpha=6))
    assert torch.equal(merged.pop('head.weight'), model['head'].weight)
    del merged['head.bias']
    expected = by_hand(lora.state_dict())
    assert {f'backbone.{key}' for key in expected} == merged.keys()
    for key, value in expected.items():
        torch.testing.assert_close(merged[f'backbone.{key}'], value, rtol=1e-5, atol=1e-6)


@all_backbones
def test_weights_keep_their_names(config: dict[str, Any], tmp_path: Path) -> None:
    """mmengine's functions write and read them, as torch's; init_cfg takes plain ones."""
    plain = MODELS.build(config)
    torch.save(plain.state_dict(), tmp_path / 'plain.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    lora = MODELS.build(dict(type='LoRA', backbone=dict(config, init_cfg=init_cfg)))
    lora.init_weights()
    state = get_state_dict(lora)
    assert state.keys() == lora.state_dict().keys()
    for key, value in plain.state_dict().items():
        assert torch.equal(state[key], value), key
    with torch.no_grad():
        torch.testing.assert_close(lora.eval()(IMAGE), plain.eval()(IMAGE), rtol=1e-5, atol=1e-5)
    other = build(config)
    state = {key: value.detach().clone() for key, value in other.state_dict().items()}
    fresh = MODELS.build(dict(type='LoRA', backbone=config, r=2))
    load_state_dict(fresh, state, strict=True)
    for key, value in fresh.state_dict().items():
        assert torch.equal(state[key], value), key


def test_weights_for_another_window() -> None:
    """The adapters are loaded with weights that are resized."""
    source = build(dict(type='SwinTransformer', **SWIN))
    model = build(dict(type='SwinTransformer', **SWIN, window_size=4))
    model.load_state_dict(source.state_dict())
    key = 'stages.1.blocks.1.attn.w_msa.qkv.lora_B.default.weight'
    assert torch.equal(model.state_dict()[key], source.state_dict()[key])


def test_backbone_of_a_toolkit() -> None:
    """Convolutions of mmpretrain's ResNet, and its names."""
    pytest.importorskip('mmpretrain')
    config = dict(type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4)
    lora = MODELS.build(dict(type='LoRA', backbone=config, target_modules=['conv2']))
    plain = MODELS.build(config)
    missing, unexpected = lora.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all('.lora_' in key for key in missing)
    assert torch.equal(lora(IMAGE)[0], plain(IMAGE)[0])


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(rank=2), 'DeiT: .*rank'),
    (dict(r=0), 'DeiT: .*`r`'),
    (dict(target_modules=['query']), 'DeiT: .*query'),
])
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MODELS.build(dict(type='LoRA', backbone=dict(type='DeiT', arch=VIT), **settings))


def test_config_of_a_toolkit(tool: Callable[..., None], tmp_path: Path) -> None:
    """mmpretrain's default is to have the norm of the last output alone."""
    needs('mmpretrain')
    config = tmp_path / 'swin.py'
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        "model = dict(backbone=dict(type='vit_plugin.LoRA', r=2, lora_alpha=6, backbone=dict(\n"
        "    type='vit_plugin.SwinTransformer',\n"
        "    arch=dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1)))))\n")
    arch = dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1))
    state = build(dict(type='SwinTransformer', arch=arch, out_indices=3)).state_dict()
    torch.save({f'backbone.{key}': value for key, value in state.items()}, tmp_path / 'lora.pth')
    tool('convert_checkpoint', tmp_path / 'lora.pth', tmp_path / 'plain.pth', '--lora', config)
    merged = torch.load(tmp_path / 'plain.pth')['state_dict']
    for key, value in by_hand(state).items():
        torch.testing.assert_close(merged[f'backbone.{key}'], value, rtol=1e-5, atol=1e-6)


def test_weights_that_do_not_fit() -> None:
    config = dict(type='DeiT', arch=VIT)
    lora, plain = build(config), MODELS.build(config)
    with pytest.raises(UserError, match='checkpoint is of a LoRA: take'):
        plain.load_state_dict(lora.state_dict())
    weights = {f'backbone.{key}': value for key, value in lora.state_dict().items()}
    with pytest.raises(UserError, match=r'wrong values or shapes: .*lora_A'):
        merge_lora(weights, dict(type='LoRA', backbone=config, r=3))
    del weights['backbone.layers.0.attn.qkv.lora_A.default.weight']
    with pytest.raises(UserError, match=r"not of the config's .* Missing key.*qkv.lora_A"):
        merge_lora(weights, dict(type='LoRA', backbone=config, r=2))
    for given, backbone in ((weights, config), (
            {f'backbone.{key}': value for key, value in plain.state_dict().items()},
            dict(type='LoRA', backbone=config)), (weights, None)):
        with pytest.raises(UserError, match='no adapters to merge'):
            merge_lora(given, backbone)
