"""Every parameter learns at the rate of the docstring's table."""
import inspect
import re
from typing import Any

import mmdet.models
import mmdet.registry
import mmpretrain.models
import mmpretrain.registry
import mmseg.models
import mmseg.registry
import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor
from torch import nn

from vit_plugin.errors import UserError
from vit_plugin.training.layer_decay import KEYS, LayerDecayOptimWrapperConstructor

LR, DECAY, RATE = 1e-3, 0.05, 0.75
VIT = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
SWIN = dict(embed_dims=8, depths=(2, 2, 3, 2), num_heads=(1, 2, 4, 8))
BACKBONES = {
    'DeiT': dict(type='vit_plugin.DeiT', arch=VIT, img_size=32, layer_scale_init_value=0.1),
    'DistilledDeiT': dict(type='vit_plugin.DistilledDeiT', arch=VIT, img_size=32),
    'SwinTransformer': dict(type='vit_plugin.SwinTransformer', arch=SWIN, use_abs_pos_embed=True),
}
UNDECAYED = re.compile(r'(_token|pos_embed|bias_table|\.gamma\d\.weight|\.bias|\.(ln|norm|bn)\d?'
                       r'\.weight)$|(^|\.)norm\d\.weight$')


def build(toolkit: str, backbone: dict[str, Any]) -> nn.Module:
    """A classifier, a detector or a segmentor around a backbone."""
    swin = backbone['type'].endswith('SwinTransformer')
    channels = [8, 16, 32, 64] if swin else [16] * 4
    if toolkit == 'mmpretrain':
        config = dict(
            type='ImageClassifier', backbone=dict(backbone, **(
                dict(out_indices=3) if swin else {})),
            neck=dict(type='GlobalAveragePooling') if swin else None,
            head=dict(type='LinearClsHead', num_classes=5, in_channels=channels[-1]))
    else:
        backbone = dict(backbone, out_indices=(0, 1, 2, 3))
        if not swin:
            backbone['out_type'] = 'featmap'
    if toolkit == 'mmdet':
        config = dict(
            type='RetinaNet', backbone=backbone,
            neck=dict(type='FPN', in_channels=channels, out_channels=8, num_outs=5,
                      norm_cfg=dict(type='BN')),
            bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=8, feat_channels=8),
            train_cfg=dict(assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)),
            test_cfg={})
    elif toolkit == 'mmseg':
        config = dict(
            type='EncoderDecoder', backbone=backbone,
            decode_head=dict(type='UPerHead', in_channels=channels, in_index=[0, 1, 2, 3],
                             pool_scales=(1, 2), channels=8, num_classes=3,
                             norm_cfg=dict(type='BN')),
            test_cfg=dict(mode='whole'))
    registry = {'mmpretrain': mmpretrain, 'mmdet': mmdet, 'mmseg': mmseg}[toolkit].registry.MODELS
    with DefaultScope.overwrite_default_scope(toolkit):
        return registry.build(config)


def build_optimizer(model: nn.Module, wd: float | None = DECAY, **paramwise: Any) -> OptimWrapper:
    optimizer = dict(type='AdamW', lr=LR) | ({} if wd is None else dict(weight_decay=wd))
    return build_optim_wrapper(model, dict(
        optimizer=optimizer, constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=RATE) | paramwise))


def settings(wrapper: OptimWrapper, model: nn.Module) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every parameter by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = {}
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            assert names[parameter] not in found
            found[names[parameter]] = (group['lr'], group['weight_decay'])
    return found


def documented_depth(name: str) -> tuple[int, int]:
    """The table, read from names of `VIT` (4 blocks) and `SWIN` (9 blocks)."""
    if match := re.match(r'backbone\.layers\.(\d)', name):
        return int(match[1]) + 1, 6
    if match := re.match(r'backbone\.stages\.(\d)\.blocks\.(\d)', name):
        return [1, 3, 5, 8][int(match[1])] + int(match[2]), 11
    if match := re.match(r'backbone\.stages\.(\d)\.downsample', name):
        return [2, 4, 7][int(match[1])], 11
    if re.match(r'backbone\.(patch_embed|cls_token|dist_token|pos_embed|absolute_pos_embed)', name):
        return 0, 0
    return -1, 0


@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.parametrize('toolkit', ['mmpretrain', 'mmdet', 'mmseg'])
def test_rates(toolkit: str, name: str) -> None:
    """Stock: mmdet's and mmseg's constructors raise `NotImplementedError` on Swin."""
    model = build(toolkit, BACKBONES[name])
    found = settings(build_optimizer(model), model)
    assert found.keys() == dict(model.named_parameters()).keys()
    num_depths = 11 if name == 'SwinTransformer' else 6
    depths = set()
    for parameter, (lr, decay) in found.items():
        depth, _ = documented_depth(parameter)
        depth = num_depths - 1 if depth < 0 else depth
        depths.add(depth)
        assert lr == pytest.approx(LR * RATE**(num_depths - 1 - depth), rel=1e-9), parameter
        assert (decay == 0) == bool(UNDECAYED.search(parameter)), parameter
        assert decay in (0, DECAY)
    assert depths == set(range(num_depths))


def test_docstring_figures() -> None:
    """0.024, 0.032, 0.75 and 1 for r = 0.75 on a DeiT."""
    from vit_plugin.backbones import DeiT
    model = nn.ModuleDict(dict(backbone=DeiT('tiny'), head=nn.Linear(192, 2)))
    model.backbone, model.head = model['backbone'], model['head']
    found = settings(build_optimizer(model), model)
    for name, share in {'patch_embed.projection.weight': 0.024, 'layers.0.ln1.weight': 0.032,
                        'layers.11.ln1.weight': 0.75, 'ln1.weight': 1.}.items():
        assert found[f'backbone.{name}'][0] / LR == pytest.approx(share, abs=5e-4)


def test_same_depths_as_mmpretrain() -> None:
    """Except the absolute position, which mmpretrain's Swin counts to the head."""
    model = build('mmpretrain', BACKBONES['SwinTransformer'])
    stock = mmpretrain.models.SwinTransformer(arch=SWIN, use_abs_pos_embed=True)
    for name, _ in model.backbone.named_parameters():
        if name != 'absolute_pos_embed':
            assert model.backbone.get_layer_depth(name) == stock.get_layer_depth(name)


def test_few_groups() -> None:
    model = build('mmpretrain', BACKBONES['SwinTransformer'])
    assert len(build_optimizer(model).optimizer.param_groups) <= 2 * 11


def test_frozen_parameters_are_left_out() -> None:
    model = build('mmpretrain', dict(BACKBONES['DeiT'], frozen_stages=2))
    found = settings(build_optimizer(model), model)
    assert found.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert 0 < len(found) < len(list(model.parameters()))


def test_wrapped_models() -> None:
    """DDP and averaged models hold theirs as `module`."""
    model = build('mmpretrain', BACKBONES['DeiT'])

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model

    assert settings(build_optimizer(Wrapper()), model) == settings(build_optimizer(model), model)


def test_other_rules_of_mmengine() -> None:
    model = build('mmpretrain', BACKBONES['DeiT'])
    found = settings(build_optimizer(
        model, bias_decay_mult=0.5,
        custom_keys={'head': dict(lr_mult=10.), 'pos_embed': dict(decay_mult=1.)}), model)
    assert found['head.fc.weight'] == (pytest.approx(10 * LR), DECAY)
    assert found['backbone.pos_embed'] == (pytest.approx(LR * RATE**5), DECAY)
    assert found['backbone.cls_token'] == (pytest.approx(LR * RATE**5), 0)
    assert found['backbone.layers.3.attn.proj.bias'] == (pytest.approx(LR * RATE), DECAY / 2)
    assert found['backbone.layers.3.ln1.bias'] == (pytest.approx(LR * RATE), 0)


def test_without_weight_decay() -> None:
    model = build('mmpretrain', BACKBONES['DeiT'])
    groups = build_optimizer(model, wd=None).optimizer.param_groups
    assert {group['weight_decay'] for group in groups} == {torch.optim.AdamW([nn.Parameter(
        torch.zeros(1))]).defaults['weight_decay']}


@pytest.mark.parametrize('paramwise', [None, {}, dict(layer_decay_rate=0),
                                       dict(layer_decay_rate=1.1),
                                       dict(layer_decay_rate='0.7')], ids=repr)
def test_rate_is_checked(paramwise: dict | None) -> None:
    config = dict(optimizer=dict(type='AdamW', lr=LR))
    value = re.escape(repr((paramwise or {}).get('layer_decay_rate')))
    with pytest.raises(ValueError, match=rf'layer_decay_rate={value}.*\(0, 1\]'):
        LayerDecayOptimWrapperConstructor(config, paramwise)


@pytest.mark.parametrize(('paramwise', 'message'), [
    (dict(layer_decay_rat=0.7), "layer_decay_rat=0.7.*Did you mean 'layer_decay_rate'"),
    (dict(layer_decay_rate=0.7, norm_decay=0.), "norm_decay=0.0.*'norm_decay_mult'"),
    (dict(layer_decay_rate=0.7, decay_typ='x'), "decay_typ='x'.*it takes layer_decay_rate"),
    # as in mmseg's configs of BEiT, and in those of ConvNeXt
    (dict(layer_decay_rate=0.9, num_layers=12), "num_layers=12.*mmdet's and mmseg's.*leave"),
    (dict(decay_rate=0.9, decay_type='stage_wise', num_layers=12),
     "decay_rate=0.9.*mmdet's and mmseg's.*layer_decay_rate")])
def test_keys_are_checked(paramwise: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='AdamW', lr=LR)), paramwise)


def test_keys_of_mmengine_are_known() -> None:
    """Those that its constructor reads, from its source, beside the one that mmpretrain adds."""
    for constructor, more in ((DefaultOptimWrapperConstructor, []),
                              (LearningRateDecayOptimWrapperConstructor, ['layer_decay_rate'])):
        read = re.findall(r"paramwise_cfg\.get\(\s*'(\w+)'", inspect.getsource(constructor))
        assert {*more} < {*read} <= {*KEYS}


def test_lr_is_checked() -> None:
    with pytest.raises(ValueError, match='lr'):
        LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='AdamW')),
                                          dict(layer_decay_rate=RATE))


def test_backbone_is_checked() -> None:
    model = nn.Module()
    with pytest.raises(ValueError, match='backbone=NoneType'):
        build_optimizer(model)
    model.backbone = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r'get_layer_depth.*backbone=Linear'):
        build_optimizer(model)
