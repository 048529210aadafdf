"""Arguments of the toolkits' classes, one by one: their names, defaults and meaning."""
import inspect
import logging
from typing import Any

import mmdet.models
import mmpretrain.models
import mmseg.models
import pytest
from mmdet.registry import MODELS as MMDET
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS as MMPRETRAIN
from mmseg.registry import MODELS as MMSEG

from vit_plugin.backbones import SwinTransformer, archs
from vit_plugin.backbones.stock import mmdet as from_mmdet
from vit_plugin.backbones.stock import mmpretrain as from_mmpretrain
from vit_plugin.backbones.stock import mmseg as from_mmseg
from vit_plugin.registry import MODELS

SWIN = dict(embed_dims=4, depths=(1, 2, 1, 1), num_heads=(1, 2, 2, 2))
VIT_ARCH = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)
FORMS = [
    (from_mmpretrain.swin_transformer, mmpretrain.models.SwinTransformer),
    (from_mmpretrain.swin_transformer_v2, mmpretrain.models.SwinTransformerV2),
    (from_mmpretrain.vision_transformer, mmpretrain.models.VisionTransformer),
    (from_mmdet.swin_transformer, mmdet.models.SwinTransformer),
    (from_mmdet.swin_transformer, mmseg.models.backbones.SwinTransformer),
    (from_mmseg.vision_transformer, mmseg.models.VisionTransformer),
]


@pytest.mark.parametrize(('form', 'stock'), FORMS)
def test_arguments_and_defaults_are_theirs(form: Any, stock: type) -> None:
    theirs, ours = ({name: tuple(p.default) if isinstance(p.default, list) else p.default
                     for name, p in inspect.signature(f).parameters.items()}
                    for f in (stock, form))
    if stock.__module__.startswith('mmseg.') and 'convert_weights' in ours:
        del ours['convert_weights']
    assert ours == theirs


def test_archs_are_theirs() -> None:
    for name, arch in mmpretrain.models.SwinTransformer.arch_zoo.items():
        ours = archs.SWIN[from_mmpretrain.swin_transformer(name.upper())['arch']]
        assert {key: list(value) if key != 'embed_dims' else value
                for key, value in ours.items()} == arch
    zoo = mmpretrain.models.VisionTransformer.arch_zoo
    assert set(zoo) - {'small', 'base'} == set(from_mmpretrain.VIT_ARCHS)
    for name, arch in from_mmpretrain.VIT_ARCHS.items():
        assert arch == zoo[name]


def build(scope: str | None, **arguments: Any) -> Any:
    if scope:
        DefaultScope.get_instance(f'{scope}{len(DefaultScope._instance_dict)}', scope_name=scope)
    name = arguments.pop('type', 'SwinTransformer')
    return MODELS.build(dict(type=f'vit_plugin.{name}', **arguments))


@pytest.mark.parametrize('registry', [MMPRETRAIN, MMDET, MMSEG])
def test_keywords_tell_the_form(registry: Any) -> None:
    theirs = dict(**SWIN, frozen_stages=1)
    model = registry.build(dict(type='vit_plugin.SwinTransformer', **theirs))
    assert isinstance(model, SwinTransformer)
    assert model.pad_small_map
    assert model.out_indices == (0, 1, 2, 3)
    model = registry.build(dict(type='vit_plugin.SwinTransformer', arch=SWIN, out_indices=(1,),
                                stage_cfgs=dict(block_cfgs=dict(window_size=5)), frozen_stages=0))
    assert not model.pad_small_map
    assert model.window_size == (5, 5)
    assert model.frozen_stages == 1


@pytest.mark.parametrize(('scope', 'out_indices', 'pad_small_map'), [
    ('mmpretrain', (3,), False), ('mmdet', (0, 1, 2, 3), True), ('mmseg', (0, 1, 2, 3), True),
    (None, (0, 1, 2, 3), False), ('mmengine', (0, 1, 2, 3), False)])
def test_the_scope_decides_where_keywords_do_not(
        scope: str | None, out_indices: tuple[int, ...], pad_small_map: bool,
        log: pytest.LogCaptureFixture) -> None:
    model = build(scope, drop_path_rate=0.2, window_size=7)
    assert model.out_indices == out_indices
    assert model.pad_small_map == pad_small_map
    said = [r.getMessage() for r in log.records if 'arguments are read as' in r.getMessage()]
    assert len(said) == (scope not in (None, 'mmengine'))


def test_own_arguments_are_the_plugins_in_any_scope() -> None:
    for scope in ('mmdet', 'mmseg'):
        model = build(scope, arch=SWIN, frozen_stages=1)
        assert not model.pad_small_map
        assert model.frozen_stages == 1
    assert build('mmseg', type='DeiT', arch=VIT_ARCH, out_type='cls_token').out_type == 'cls_token'
    assert build('mmpretrain', type='DeiT', arch=VIT_ARCH, with_cp=True).with_cp


def test_small_is_deits(log: pytest.LogCaptureFixture) -> None:
    assert build('mmpretrain', type='DeiT', arch='small').embed_dims == 384
    assert [record.levelno for record in log.records
            if "arch='small' is DeiT-S" in record.getMessage()] == [logging.WARNING]
    assert build('mmpretrain', type='DeiT', arch='s').embed_dims == 768


@pytest.mark.parametrize(('arguments', 'error', 'message'), [
    (dict(embed_dims=12, stage_cfgs={}), ValueError, r"several toolkits: .*embed_dims"),
    (dict(embed_dim=12), ValueError, 'SwinTransformer has no argument embed_dim'),
    (dict(depths=(1, 2, 1, 1), arch='tiny'), ValueError, 'arch .* cannot stand beside depths'),
    (dict(SWIN, strides=(4, 4, 2, 2)), ValueError, r'strides=\(4, 4, 2, 2\) .*the others 2'),
    (dict(SWIN, strides=(2, 2, 2, 2)), ValueError, r'strides=\(2, 2, 2, 2\) .*patch_size=4'),
    (dict(SWIN, norm_cfg=dict(type='BN')), ValueError, "norm_cfg=.*'BN'.*LayerNorm"),
    (dict(SWIN, norm_cfg=dict(type='LN', requires_grad=False)), ValueError,
     'norm_cfg=.*frozen_stages'),
    (dict(SWIN, act_cfg=dict(type='Swish')), ValueError, "act.*'Swish'.*GELU"),
    (dict(SWIN, pretrained='a', init_cfg=dict(type='Pretrained')), ValueError, 'keep one'),
    (dict(SWIN, pretrained=1), ValueError, 'pretrained must be'),
    (dict(out_after_downsample=True), ValueError, 'out_after_downsample=True is not supported'),
    (dict(patch_cfg=dict(padding=0)), ValueError, 'patch_cfg='),
    (dict(norm_eval=True, frozen_stages=4), ValueError, 'frozen_stages=4'),
    (dict(stage_cfgs=dict(depth=3)), ValueError, r'stage_cfgs\.depth=3'),
    (dict(stage_cfgs=[dict(window_size=7), dict(window_size=5)]), ValueError, 'same settings'),
    (dict(type='DeiT', layer_cfgs=dict(ffn_type='other')), ValueError, 'ffn_type.*two layers, or'),
    (dict(type='DeiT', drop_path_rate=0.1, layer_cfgs=dict(ffn_type='swiglu_fused')), ValueError,
     'swiglu_fused.*leave its MLP out'),
    (dict(type='DeiT', layer_cfgs=dict(num_heads=3)), ValueError, r'layer_cfgs\.num_heads=3'),
    (dict(type='DeiT', num_layers=3, num_fcs=3), ValueError, 'num_fcs=3'),
    (dict(type='DeiT', num_layers=3, frozen_exclude=['pos_embed']), ValueError, 'frozen_exclude='),
    (dict(type='DistilledDeiT', num_layers=3), ValueError, 'no argument num_layers'),
], ids=str)
def test_refusals(arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        build(None, **arguments)


def test_own_scope_in_the_dict() -> None:
    theirs = build('mmpretrain', arch=SWIN, _scope_='mmpretrain')
    own = build('mmpretrain', arch=SWIN, _scope_='vit_plugin')
    assert (theirs.out_indices, own.out_indices) == ((3,), (0, 1, 2, 3))
