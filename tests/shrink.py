"""Make a detection or segmentation config small enough for a test, and leave its structure."""
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from tests.conftest import needs

SWIN = dict(embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8))
DEIT = dict(embed_dims=64, num_layers=12, num_heads=2, feedforward_channels=64)
WIDTHS = [8, 16, 32, 64]
# Of images, in pixels, and of heads.
SIZES = ('scale', 'scales', 'crop_size', 'size', 'stride', 'img_size')
CHANNELS = ('in_channels', 'out_channels', 'feat_channels', 'conv_out_channels', 'channels',
            'fc_out_channels')
# Of proposals, boxes and samples.
COUNTS = ('nms_pre', 'max_per_img', 'num')


def shrunk(path: Path, data: Path) -> Config:
    """The config at 1/16 of its image size, with small layers, on the data set in ``data``."""
    cfg = Config.fromfile(path)
    needs(cfg.default_scope)
    for part in cfg:
        cfg[part] = smaller(cfg[part])
    shrink_model(cfg.model.get('module', cfg.model))
    fewer(cfg.model.get('train_cfg'))
    fewer(cfg.model.get('test_cfg'))
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        loader.update(num_workers=0, persistent_workers=False)
        loader.batch_size = min(loader.batch_size, 2)
        use_data(loader.dataset, data)
    for name in ('val_evaluator', 'test_evaluator'):
        if 'ann_file' in cfg[name]:
            cfg[name].ann_file = str(data / 'annotations.json')
    if cfg.train_cfg.type == 'EpochBasedTrainLoop':
        cfg.train_cfg.max_epochs = 1  # of two iterations
    else:
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.default_hooks.checkpoint.interval = 2
    return cfg


def smaller(value: Any, divide: bool = False) -> Any:
    """A part of a config with every size in it divided by 16."""
    if isinstance(value, dict):
        for key in value:
            is_size = key in SIZES and value.get('type') != 'AnchorGenerator'
            value[key] = smaller(value[key], divide or is_size)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(smaller(item, divide) for item in value)
    return -(-value // 16) if divide and isinstance(value, int) and value > 64 else value


def shrink_model(model: Any) -> None:
    """Give every layer of a detector or segmentor few channels."""
    backbone = own_backbone(model)
    backbone.init_cfg = None
    is_swin = 'SwinTransformer' in backbone.type
    if backbone.type == 'ResNet':
        backbone.update(depth=18, base_channels=8)
    else:
        backbone.arch = SWIN if is_swin else DEIT
    for key in model:
        if key not in ('backbone', 'data_preprocessor', 'train_cfg', 'test_cfg'):
            narrower(model[key])
    if 'rpn' in (model.get('train_cfg') or {}):  # Cascade's anchors do not fit into the image
        model.train_cfg.rpn.allowed_border = -1
    if 'score_thr' in str(model.test_cfg):  # so that an untrained detector detects something
        model.test_cfg.get('rcnn', model.test_cfg).score_thr = 0.
    if 'DeiT' not in backbone.type and 'DINO' not in backbone.type and 'neck' in model:
        model.neck.in_channels = WIDTHS[-len(model.neck.in_channels):]
    elif is_swin:
        model.decode_head.in_channels = WIDTHS
        model.auxiliary_head.in_channels = WIDTHS[2]


def own_backbone(model: Any) -> Any:
    """The config of a model's backbone, also of one with adapters."""
    backbone = model.backbone
    if backbone.type == 'vit_plugin.LoRA':
        pytest.importorskip('peft')
        return backbone.backbone
    return backbone


def narrower(value: Any) -> None:
    """Replace numbers of channels of a hundred and more by 64, and COCO's 80 classes by 2."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in CHANNELS and isinstance(item, int) and item > 100:
                value[key] = 64  # twice what ATSS's GroupNorm divides into
            elif key == 'num_classes' and item == 80:
                value[key] = 2
            elif key in CHANNELS and isinstance(item, list):
                value[key] = [64] * len(item)
            else:
                narrower(item)
    elif isinstance(value, list):
        for item in value:
            narrower(item)


def fewer(value: Any) -> None:
    """Replace numbers of boxes by 16."""
    if isinstance(value, dict):
        value.update({key: min(value[key], 16) for key in COUNTS if key in value})
    for item in value.values() if isinstance(value, dict) else value or ():
        if isinstance(item, (dict, list)):
            fewer(item)


def use_data(dataset: Any, data: Path) -> None:
    """Read the tests' tiny COCO or ADE data instead of the real ones."""
    dataset = dataset.get('dataset', dataset)
    dataset.data_root = str(data)
    if dataset.type.endswith('CocoDataset'):
        dataset.update(ann_file='annotations.json', data_prefix=dict(img='images/'),
                       metainfo=dict(classes=('grey', 'white')))
    else:
        dataset.data_prefix = dict(img_path='images', seg_map_path='annotations')
