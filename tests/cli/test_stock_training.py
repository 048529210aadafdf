"""The way in on the README's first screen: a stock config, ``model.backbone.type`` changed."""
import re
from collections.abc import Callable
from pathlib import Path

import mmseg
import pytest
import torch
from mmseg.models.backbones import SwinTransformer as Stock

from tests.conftest import needs

SWIN = dict(embed_dims=12, depths=[1, 1, 2, 1], num_heads=[3, 6, 12, 24])
WIDTHS = [12, 24, 48, 96]
# The sizes of model and data, and the length of the run, and nothing else.
RUN = """
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2, val_interval=2)
param_scheduler = []
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(type='LoggerHook', interval=1), checkpoint=dict(
    type='CheckpointHook', _delete_=True, by_epoch=False, interval=2))
train_dataloader = dict(**loader, sampler=dict(type='InfiniteSampler', shuffle=True, _delete_=True),
                        batch_sampler=None, dataset=dict(_delete_=True, {data}, pipeline={train}))
val_dataloader = dict(**loader, dataset=dict(_delete_=True, {data}, {test_mode} pipeline={test}))
test_dataloader = val_dataloader
"""


def classifier(folder: Path, _: Path) -> str:
    needs('mmpretrain')
    pipeline = "[dict(type='LoadImageFromFile'), dict(type='PackInputs')]"
    return f"""
_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'
model = dict(backbone=dict(img_size=64, window_size=2, arch=dict(_delete_=True, **{SWIN})),
             head=dict(num_classes=2, in_channels=96))
data_preprocessor = dict(num_classes=2)
val_evaluator = dict(topk=1)
""" + RUN.format(data=f"type='CustomDataset', data_root='{folder}'", test_mode='',
                 train=pipeline, test=pipeline)


def detector(coco: Path, _: Path) -> str:
    needs('mmdet')
    load = "dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)"
    keys = "('img_id', 'ori_shape', 'img_shape', 'scale_factor')"
    return f"""
_base_ = 'mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py'
model = dict(
    num_queries=10, backbone=dict(**{SWIN}, init_cfg=None), neck=dict(in_channels={WIDTHS}),
    encoder=dict(num_layers=1), decoder=dict(num_layers=1), bbox_head=dict(num_classes=2),
    dn_cfg=dict(group_cfg=dict(num_dn_queries=4)), test_cfg=dict(max_per_img=10))
val_evaluator = dict(ann_file='{coco}/annotations.json')
""" + RUN.format(
        data=f"type='CocoDataset', data_root='{coco}', ann_file='annotations.json', "
             "data_prefix=dict(img='images'), metainfo=dict(classes=('grey', 'white'))",
        test_mode='test_mode=True,', train=f'[{load}, dict(type="PackDetInputs")]',
        test=f"[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), "
             f"dict(type='LoadAnnotations', with_bbox=True), "
             f"dict(type='PackDetInputs', meta_keys={keys})]")


def segmentor(ade: Path, weights: Path) -> str:
    base = Path(mmseg.__file__).parent / '.mim/configs'
    load = ', '.join(f"dict(type='{name}')"
                     for name in ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs'))
    return f"""
_base_ = '{base}/knet/knet-s3_swin-t_upernet_8xb2-adamw-80k_ade20k-512x512.py'
norm_cfg = dict(type='BN')
update = dict(**_base_.model.decode_head.kernel_update_head[0])
update.update(num_classes=2, in_channels=16, out_channels=16, feedforward_channels=16,
              kernel_updator_cfg=dict(type='KernelUpdator', in_channels=16, feat_channels=16,
                                      out_channels=16, norm_cfg=dict(type='LN'),
                                      act_cfg=dict(type='ReLU', inplace=True)))
model = dict(
    pretrained='{weights}', data_preprocessor=dict(size=(64, 64)), backbone=dict(**{SWIN}),
    decode_head=dict(num_stages=1, kernel_update_head=[update], kernel_generate_head=dict(
        in_channels={WIDTHS}, channels=16, num_classes=2, norm_cfg=norm_cfg)),
    auxiliary_head=dict(in_channels=48, channels=16, num_classes=2, norm_cfg=norm_cfg))
""" + RUN.format(
        data=f"type='BaseSegDataset', data_root='{ade}', img_suffix='.jpg', seg_map_suffix='.png', "
             "data_prefix=dict(img_path='images', seg_map_path='annotations'), "
             "metainfo=dict(classes=('out', 'in'), palette=[[0, 0, 0], [9, 9, 9]])",
        test_mode='test_mode=True,', train=f'[{load}]', test=f'[{load}]')


@pytest.mark.parametrize(('write', 'data', 'metric'), [
    (classifier, 'image_folder', 'accuracy/top1:'), (detector, 'coco', 'coco/bbox_mAP:'),
    (segmentor, 'ade', 'mIoU:')])
def test_stock_config_trains(write: Callable[[Path, Path], str], data: str, metric: str,
                             tool: Callable[..., None], tmp_path: Path,
                             request: pytest.FixtureRequest,
                             capfd: pytest.CaptureFixture) -> None:
    weights = tmp_path / 'swin.pth'
    torch.save(dict(state_dict=Stock(**SWIN).state_dict()), weights)
    config, work = tmp_path / 'stock.py', tmp_path / 'work'
    config.write_text(write(request.getfixturevalue(data), weights))
    tool('train', config, '--work-dir', work, '--cfg-options',
         'model.backbone.type=vit_plugin.SwinTransformer', 'randomness.seed=0')
    log = ''.join(capfd.readouterr())
    assert len(re.findall(r'loss: \d+\.\d+', log)) == 2
    assert metric in log
    assert (work / 'iter_2.pth').is_file()
    assert ("arguments are read as mmpretrain's" in log) == (write is classifier)
    assert ("SwinTransformer <- '" in log) == (write is segmentor)


def test_what_cannot_be_done_is_named(stopped: Callable[..., str], tmp_path: Path,
                                      coco: Path) -> None:
    config = tmp_path / 'stock.py'
    config.write_text(detector(coco, tmp_path))
    said = stopped('train', config, '--work-dir', tmp_path / 'work', '--cfg-options',
                   'model.backbone.type=vit_plugin.SwinTransformer',
                   'model.backbone.strides=(4,2,2,1)')
    assert 'strides=(4, 2, 2, 1) is not supported: the first must be patch_size=4' in said
