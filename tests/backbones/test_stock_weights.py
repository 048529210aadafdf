"""``init_cfg`` and ``pretrained`` of the toolkits' configs load what they loaded there."""
import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmdet.models
import mmpretrain.models
import mmseg.models
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from stock_configs import CLASSES
from stock_models import randomise, rename

from vit_plugin.checkpoints import from_openmmlab
from vit_plugin.registry import MODELS

STOCK = {'mmpretrain': mmpretrain.models, 'mmdet': mmdet.models, 'mmseg': mmseg.models.backbones}
ARCH = dict(embed_dims=4, depths=(1, 2, 1, 1), num_heads=(1, 2, 2, 2))
VIT = dict(embed_dims=16, num_layers=3, num_heads=2)
SWIN = ('SwinTransformer', ARCH)
CLASSIFIER = dict(arch=ARCH)


def nested(weights: dict) -> dict:
    return dict(state_dict={f'backbone.{name}': value for name, value in weights.items()})


def official(weights: dict) -> dict:
    return dict(model=from_openmmlab(
        {f'backbone.{name}': value for name, value in weights.items()}, 'official'))


PREFIX = dict(init_cfg=dict(type='Pretrained', checkpoint='FILE', prefix='backbone.'))
CASES = {
    'DINO': ('mmdet', *SWIN, official, dict(
        convert_weights=True, init_cfg=dict(type='Pretrained', checkpoint='FILE'))),
    'a detector': ('mmdet', *SWIN, nested, dict(
        init_cfg=dict(type='Pretrained', checkpoint='FILE'))),
    'UPerNet': ('mmseg', *SWIN, dict, dict(init_cfg=dict(type='Pretrained', checkpoint='FILE'))),
    'K-Net': ('mmseg', *SWIN, nested, dict(pretrained='FILE')),
    'a Swin': ('mmpretrain', 'SwinTransformer', CLASSIFIER, nested, PREFIX),
    'MAE': ('mmpretrain', 'VisionTransformer', dict(
        arch=dict(VIT, feedforward_channels=32), out_type='avg_featmap', final_norm=False),
            nested, PREFIX),
    'CLIP': ('mmpretrain', 'VisionTransformer', dict(
        arch=dict(VIT, feedforward_channels=32), pre_norm=True), nested, PREFIX),
    'SETR': ('mmseg', 'VisionTransformer', VIT, dict, dict(pretrained='FILE')),
    'SETR MLA': ('mmseg', 'VisionTransformer', dict(VIT, with_cls_token=False), dict,
                 dict(init_cfg=dict(type='Pretrained', checkpoint='FILE'))),
}


@pytest.mark.parametrize(('toolkit', 'name', 'sizes', 'layout', 'first'), CASES.values(), ids=CASES)
def test_weights(toolkit: str, name: str, sizes: dict, layout: Any, first: dict,
                 tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    DefaultScope.get_instance(toolkit, scope_name=toolkit)
    stock = getattr(STOCK[toolkit], name)
    trained = dict(patch_bias=True) if stock is mmseg.models.VisionTransformer else {}
    source = stock(**deepcopy(sizes), **trained)
    randomise(source)
    torch.save(layout(source.state_dict()), tmp_path / 'weights.pth')
    arguments = {**sizes, **{key: value if value != 'FILE' else str(tmp_path / 'weights.pth')
                             for key, value in first.items()}}
    if 'init_cfg' in arguments:
        arguments['init_cfg'] = ConfigDict(arguments['init_cfg'],
                                           checkpoint=str(tmp_path / 'weights.pth'))
    theirs = stock(**deepcopy(arguments))
    theirs.init_weights()
    log.clear()
    ours = MODELS.build(dict(type=f'vit_plugin.{CLASSES[name]}', **deepcopy(arguments)))
    ours.init_weights()
    expected = {rename(key): value for key, value in theirs.state_dict().items()}
    for key, value in ours.state_dict().items():
        if key == 'pos_embed' and not sizes.get('with_cls_token', True):
            expected[key] = expected[key][:, 1:]
        assert torch.equal(value, expected[key]), key
    warned = [record.getMessage() for record in log.records if record.levelno == logging.WARNING]
    assert ['patch_embed.projection.bias' in message for message in warned] == [True] * len(trained)
