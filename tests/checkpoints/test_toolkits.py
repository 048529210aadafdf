"""Whole models: stock weights predict the same with the plugin's backbone, and back."""
import logging
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import mmdet.models  # noqa: F401, registers its models
import mmpretrain.models
import mmseg.models  # noqa: F401
import pytest
import torch
from mmdet.registry import MODELS as MMDET
from mmengine.logging import MMLogger
from mmengine.registry import Registry
from mmengine.runner import load_checkpoint, save_checkpoint
from mmpretrain.registry import MODELS as MMPRETRAIN
from mmseg.registry import MODELS as MMSEG
from torch import nn

from vit_plugin.backbones import SwinTransformer

from .checkpoint_models import SWIN, assert_close, deit, image, randomise, swin, timm_swin, timm_vit

CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=dict(type='SwinTransformer', arch=SWIN, window_size=4, img_size=64, out_indices=(2,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=5, in_channels=32))
# mmdet's and mmseg's own arguments
DENSE = dict(type='SwinTransformer', embed_dims=8, depths=(2, 1, 2, 1), num_heads=(1, 2, 4, 4),
             window_size=4, mlp_ratio=4, qkv_bias=True, qk_scale=None, drop_rate=0.,
             attn_drop_rate=0., drop_path_rate=0.2, patch_norm=True, out_indices=(0, 1, 2, 3))
DETECTOR = dict(
    type='RetinaNet', backbone=DENSE,
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=5),
    bbox_head=dict(
        type='RetinaHead', num_classes=3, in_channels=8, stacked_convs=1, feat_channels=8,
        anchor_generator=dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1,
                              ratios=[1.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder')))
SEGMENTOR = dict(
    type='EncoderDecoder', backbone=DENSE,
    decode_head=dict(type='UPerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3],
                     pool_scales=(1, 2), channels=8, num_classes=4, norm_cfg=dict(type='BN'),
                     align_corners=False, dropout_ratio=0.),
    test_cfg=dict(mode='whole'))
MODELS = {'mmpretrain': (MMPRETRAIN, CLASSIFIER), 'mmdet': (MMDET, DETECTOR),
          'mmseg': (MMSEG, SEGMENTOR)}


def as_plugin(cfg: dict) -> dict:
    """The change of a config that docs/stock.md describes."""
    cfg = deepcopy(cfg)
    cfg['backbone']['type'] = 'vit_plugin.SwinTransformer'
    return cfg


def build(registry: Registry, cfg: dict, seed: int) -> nn.Module:
    # new weights by `randomise`: mmseg's Swin has an init_weights of its own that logs a warning
    return randomise(registry.build(deepcopy(cfg)), seed)


def predictions(model: nn.Module) -> list[torch.Tensor]:
    with torch.no_grad():
        outputs = model(image((96, 130)), mode='tensor')
    flat: list[torch.Tensor] = []

    def collect(value: object) -> None:
        if isinstance(value, torch.Tensor):
            flat.append(value)
        else:
            for item in value:
                collect(item)

    collect(outputs)
    return flat


@pytest.mark.parametrize('direction', ['in', 'out'])
@pytest.mark.parametrize('toolkit', MODELS)
def test_same_predictions_after_a_change_of_type(toolkit: str, direction: str,
                                                 tmp_path: Path) -> None:
    registry, cfg = MODELS[toolkit]
    if toolkit == 'mmpretrain':  # or it refuses 96x130, which has maps smaller than a window
        cfg = deepcopy(cfg)
        cfg['backbone']['pad_small_map'] = True
    configs = [cfg, as_plugin(cfg)]
    trained, changed = (build(registry, c, i)
                        for i, c in enumerate(configs if direction == 'in' else configs[::-1]))
    assert isinstance((changed if direction == 'in' else trained).backbone, SwinTransformer)
    save_checkpoint(dict(state_dict=trained.state_dict(), meta={}), str(tmp_path / 'a.pth'))
    load_checkpoint(changed, str(tmp_path / 'a.pth'), strict=True)
    expected, actual = predictions(trained), predictions(changed)
    assert len(expected) == len(actual) > 0
    for a, b in zip(expected, actual):
        assert_close(b, a)


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
def test_whole_model_with_another_window(toolkit: str, tmp_path: Path) -> None:
    """Stock: RuntimeError in strict mode, random tables otherwise. Here, the tables are resized."""
    registry, cfg = MODELS[toolkit]
    stock = build(registry, cfg, 0)
    save_checkpoint(dict(state_dict=stock.state_dict(), meta={}), str(tmp_path / 'a.pth'))
    cfg = as_plugin(cfg)
    cfg['backbone']['window_size'] = 6
    model = build(registry, cfg, 1)
    load_checkpoint(model, str(tmp_path / 'a.pth'), strict=True)
    tables = [name for name, _ in model.named_parameters() if name.endswith('bias_table')]
    for name, value in model.named_parameters():
        if name not in tables:
            assert torch.equal(value, stock.state_dict()[name])
    centre = model.state_dict()[tables[0]].view(11, 11)[5, 5]
    assert_close(centre, stock.state_dict()[tables[0]].view(7, 7)[3, 3], 1e-5)


def test_classifier_into_a_detector_through_the_backbone(tmp_path: Path) -> None:
    source = build(MMPRETRAIN, CLASSIFIER, 0)
    save_checkpoint(dict(state_dict=source.state_dict(), meta={}), str(tmp_path / 'a.pth'))
    cfg = as_plugin(DETECTOR)
    cfg['backbone'].update(
        **SWIN, out_indices=(0, 1, 2), strides=(4, 2, 2),
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'), prefix='backbone.'))
    cfg['neck']['in_channels'] = [8, 16, 32]
    model = MMDET.build(cfg)
    model.init_weights()
    for name, value in source.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value)


def test_resume_is_silent(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    model = build(MMDET, as_plugin(DETECTOR), 0)
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(tmp_path / 'a.pth'))
    logger = MMLogger.get_instance('test_resume')
    logger.addHandler(caplog.handler)
    load_checkpoint(model, str(tmp_path / 'a.pth'), strict=True, logger=logger)
    logger.removeHandler(caplog.handler)
    assert not [r for r in caplog.records if ' <- ' in r.getMessage() or r.levelno > logging.INFO]


@pytest.mark.parametrize(('build_backbone', 'source'), [(swin, timm_swin), (deit, timm_vit)])
def test_frozen_and_pretrained(build_backbone, source, tmp_path: Path) -> None:
    theirs = source()
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    model = build_backbone(frozen_stages=2, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    frozen_names = {name for name, p in model.named_parameters() if not p.requires_grad}
    identities = {name: id(p) for name, p in model.named_parameters()}
    model.init_weights()
    model.train()
    assert frozen_names == {name for name, p in model.named_parameters() if not p.requires_grad}
    assert identities == {name: id(p) for name, p in model.named_parameters()}
    assert frozen_names
    assert not model.patch_embed.training
    assert torch.equal(model.patch_embed.projection.weight, theirs.patch_embed.proj.weight)
    model(image())[-1].sum().backward()
    assert all((p.grad is None) == (name in frozen_names) for name, p in model.named_parameters()
               if not name.startswith(('norm0', 'norm1')))


def test_other_initialisers_beside_pretrained(tmp_path: Path) -> None:
    theirs = timm_swin()
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    given = [dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth')),
             dict(type='Constant', layer='LayerNorm', val=3.)]
    model = swin(init_cfg=given)
    model.init_weights()
    assert (model.norm0.weight == 3).all()  # not in timm's classifier
    assert torch.equal(model.patch_embed.norm.weight, theirs.patch_embed.norm.weight)
    assert model.init_cfg == given


def test_models_are_copied_with_their_loading(tmp_path: Path) -> None:
    """EMA deep-copies the model; the copy must load into itself."""
    classifier = mmpretrain.models.ImageClassifier(swin(), dict(type='GlobalAveragePooling'))
    copy = deepcopy(classifier)
    before = classifier.backbone.patch_embed.projection.weight.clone()
    torch.save(timm_swin().state_dict(), tmp_path / 'a.pth')
    load_checkpoint(copy, str(tmp_path / 'a.pth'))
    assert torch.equal(copy.backbone.patch_embed.projection.weight,
                       timm_swin().patch_embed.proj.weight)
    assert torch.equal(classifier.backbone.patch_embed.projection.weight, before)


LOAD_ON_A_RANK = """
import sys, torch
torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
from vit_plugin.backbones import DistilledDeiT
torch.manual_seed(0)
model = DistilledDeiT(
    dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=64), img_size=96,
    init_cfg=dict(type='Pretrained', checkpoint=f'{folder}/a.pth'))
model.init_weights()
torch.save(model.state_dict(), f'{folder}/rank{rank}.pth')
torch.distributed.destroy_process_group()
"""


def test_ranks_load_the_same(tmp_path: Path) -> None:
    torch.save(timm_vit().state_dict(), tmp_path / 'a.pth')
    ranks = [subprocess.Popen([sys.executable, '-c', LOAD_ON_A_RANK, str(rank), tmp_path])
             for rank in range(2)]
    assert [process.wait() for process in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f'rank{i}.pth') for i in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(first['cls_token'], timm_vit().cls_token)
