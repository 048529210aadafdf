"""Each argument of a toolkit's class does here what it does there."""
from copy import deepcopy
from typing import Any

import mmdet.models
import mmpretrain.models
import mmseg.models
import pytest
from mmengine.registry import DefaultScope
from stock_configs import CLASSES
from stock_models import assert_same

from vit_plugin.registry import MODELS

STOCK = {'mmpretrain': mmpretrain.models, 'mmdet': mmdet.models, 'mmseg': mmseg.models.backbones}
# Dropout at this rate leaves nothing, so that its place can be told from one output.
NEAR_ONE = 1 - 1e-9
RELU = dict(act_cfg=dict(type='ReLU'))
COARSE = dict(norm_cfg=dict(type='LN', eps=0.1))
SWIN = dict(embed_dims=4, depths=(2, 1, 2, 1), num_heads=(1, 2, 2, 2), drop_path_rate=0.)
VIT = dict(embed_dims=16, num_layers=3, num_heads=2)


def blocks(**settings: Any) -> dict[str, Any]:
    return dict(stage_cfgs=dict(block_cfgs=settings))


DENSE_SWIN = [
    dict(mlp_ratio=2), dict(qkv_bias=False), dict(qk_scale=0.3), dict(patch_norm=False), RELU,
    COARSE, dict(use_abs_pos_embed=True, pretrain_img_size=(70, 90)), dict(window_size=5),
    dict(in_channels=6), dict(patch_size=2, strides=(2, 2, 2, 2)), dict(out_indices=(1, 3)),
    dict(drop_rate=NEAR_ONE), dict(attn_drop_rate=NEAR_ONE),
    *(dict(frozen_stages=stages) for stages in range(5))]
MMPRETRAIN_SWIN = [
    dict(use_abs_pos_embed=True, interpolate_mode='bilinear'), dict(drop_rate=NEAR_ONE), COARSE,
    blocks(window_size=5, ffn_ratio=2), blocks(ffn_cfgs=RELU),
    blocks(ffn_cfgs=dict(ffn_drop=NEAR_ONE)), blocks(attn_cfgs=dict(attn_drop=NEAR_ONE)),
    blocks(attn_cfgs=dict(proj_drop=NEAR_ONE)),
    dict(stage_cfgs=4 * [blocks(attn_cfgs=dict(qkv_bias=False, qk_scale=0.3))['stage_cfgs']]),
    *(dict(frozen_stages=stages) for stages in range(4))]
MMPRETRAIN_VIT = [
    dict(qkv_bias=False), COARSE, dict(norm_cfg=dict(type='LN')), dict(final_norm=False),
    dict(out_type='raw'), dict(out_type='avg_featmap'), dict(interpolate_mode='bilinear'),
    dict(patch_cfg=dict(bias=False)), dict(layer_scale_init_value=0.1),
    dict(layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))), dict(drop_rate=NEAR_ONE),
    dict(layer_cfgs=3 * [dict(attn_drop_rate=NEAR_ONE)]),
    dict(layer_cfgs=dict(ffn_type='swiglu_fused')),
    dict(out_indices=[0, -1], out_type='featmap')]
NOT_DISTILLED = [
    dict(pre_norm=True), dict(with_cls_token=False, out_type='featmap'),
    dict(with_cls_token=False, out_type='avg_featmap', final_norm=False),
    *(dict(frozen_stages=stages, pre_norm=True, out_type='avg_featmap') for stages in range(4))]
MMSEG_VIT = [
    dict(out_indices=(0, 2)), dict(qkv_bias=False), COARSE, RELU, dict(final_norm=True),
    dict(output_cls_token=True), dict(with_cls_token=False), dict(patch_bias=True, pre_norm=True),
    dict(patch_norm=True), dict(mlp_ratio=2), dict(interpolate_mode='bilinear'),
    dict(drop_rate=NEAR_ONE), dict(attn_drop_rate=NEAR_ONE), dict(img_size=(50, 70)),
    dict(drop_path_rate=1 - 1e-6, num_layers=2)]
ARCH = {key: value for key, value in SWIN.items() if key != 'drop_path_rate'}
BASES = [
    ('mmdet', 'SwinTransformer', SWIN, DENSE_SWIN),
    ('mmseg', 'SwinTransformer', SWIN, DENSE_SWIN),
    ('mmpretrain', 'SwinTransformer', dict(arch=ARCH, img_size=64, out_indices=(0, 1, 2, 3),
                                           pad_small_map=True, drop_path_rate=0.), MMPRETRAIN_SWIN),
    ('mmpretrain', 'VisionTransformer', dict(arch=dict(VIT, feedforward_channels=32), img_size=48),
     MMPRETRAIN_VIT + NOT_DISTILLED),
    ('mmpretrain', 'DistilledVisionTransformer',
     dict(arch=dict(VIT, feedforward_channels=32), img_size=48), MMPRETRAIN_VIT),
    ('mmseg', 'VisionTransformer', dict(VIT, img_size=48), MMSEG_VIT)]
CASES = [pytest.param(toolkit, name, {**base, **setting}, id=f'{toolkit}-{name}-{setting}')
         for toolkit, name, base, settings in BASES for setting in settings]


@pytest.mark.parametrize(('toolkit', 'name', 'arguments'), CASES)
def test_settings(toolkit: str, name: str, arguments: dict[str, Any]) -> None:
    DefaultScope.get_instance(toolkit, scope_name=toolkit)
    theirs = getattr(STOCK[toolkit], name)(**deepcopy(arguments))
    ours = MODELS.build(dict(type=f'vit_plugin.{CLASSES[name]}', **deepcopy(arguments)))
    assert_same(theirs, ours, arguments, (68, 88), modes=(True, False))
