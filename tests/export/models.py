"""Small models of all tasks with weights that matter, as configs and checkpoints."""
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vit_plugin.errors import UserError
from vit_plugin.export.program import check_torch

NORM = dict(type='BN')
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
# Odd ones, smaller than a window, of one patch; the first is that of the export.
SIZES = [(48, 64), (64, 48), (49, 63), (33, 97), (7, 9), (1, 1), (3, 80), (80, 5), (65, 65),
         (31, 32), (96, 40), (47, 50)]


def needs_exporter() -> None:
    """Skip where torch is too old to export, which is refused by name."""
    try:
        check_torch()
    except UserError as error:
        pytest.skip(str(error))


def swin(**kwargs: Any) -> dict[str, Any]:
    """A Swin of two stages, the first with a shifted block."""
    return dict(type='vit_plugin.SwinTransformer', window_size=4, drop_path_rate=0.,
                arch=dict(embed_dims=8, depths=(2, 1), num_heads=(1, 2)), **kwargs)


def classifier(backbone: dict[str, Any], head: dict[str, Any]) -> Config:
    return Config(dict(default_scope='mmpretrain', model=dict(
        type='ImageClassifier', backbone=backbone, head=head,
        data_preprocessor=dict(mean=MEAN, std=STD, to_rgb=True))))


def deit_classifier() -> Config:
    arch = dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16)
    return classifier(
        dict(type='vit_plugin.DistilledDeiT', arch=arch, img_size=48, patch_size=16,
             out_type='cls_token'),
        dict(type='vit_plugin.DistilledDeiTHead', num_classes=3, in_channels=8))


def segmentor() -> Config:
    return Config(dict(default_scope='mmseg', model=dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=MEAN, std=STD, bgr_to_rgb=False,
                               size=(48, 64)),
        backbone=swin(out_indices=(0, 1)),
        decode_head=dict(type='UPerHead', in_channels=[8, 16], in_index=[0, 1], channels=8,
                         num_classes=3, pool_scales=(1, 2, 3), norm_cfg=NORM,
                         align_corners=False),
        test_cfg=dict(mode='whole'))))


def build(cfg: Config) -> Any:
    """The config's model with random weights, all of which matter."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def checkpoint(model: Any, path: Path) -> str:
    """The model's weights, and the names of three classes, as a file."""
    classes = ('cat', 'dog', 'owl')
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))),
               path)
    return str(path)


def retinanet(head: str = 'RetinaHead') -> Config:
    """A one-stage detector on two levels whose scores are all over the threshold."""
    anchors = dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.],
                   strides=[4, 8])
    return Config(dict(default_scope='mmdet', model=dict(
        type='SingleStageDetector',
        data_preprocessor=dict(type='DetDataPreprocessor', mean=MEAN, std=STD, bgr_to_rgb=True,
                               pad_size_divisor=32),
        backbone=swin(out_indices=(0, 1)),
        neck=dict(type='FPN', in_channels=[8, 16], out_channels=8, num_outs=2),
        bbox_head=dict(type=head, num_classes=3, in_channels=8, stacked_convs=1, feat_channels=8,
                       anchor_generator=anchors,
                       bbox_coder=dict(type='DeltaXYWHBBoxCoder')),
        test_cfg=dict(nms_pre=100, score_thr=0.05, min_bbox_size=0, max_per_img=20,
                      nms=dict(type='nms', iou_threshold=0.5)))))


def mask_rcnn(stages: int = 1) -> Config:
    """Mask R-CNN on two levels, of mmdet's parts, or Cascade of those of our configs.

    All scores count.
    """
    roi_extractor, rpn_head = 'SingleRoIExtractor', 'RPNHead'
    if stages > 1:
        roi_extractor, rpn_head = 'vit_plugin.Float32RoIExtractor', 'vit_plugin.Float32RPNHead'
    coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.] * 4,
                 target_stds=[0.1, 0.1, 0.2, 0.2])

    def extractor(side: int) -> dict[str, Any]:
        return dict(type=roi_extractor, out_channels=8, featmap_strides=[4, 8],
                    finest_scale=8,
                    roi_layer=dict(type='RoIAlign', output_size=side, sampling_ratio=0))

    box_head = dict(type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=8, roi_feat_size=3,
                    num_classes=3, bbox_coder=coder, reg_class_agnostic=stages > 1)
    roi_head = dict(
        type='StandardRoIHead', bbox_roi_extractor=extractor(3), bbox_head=box_head,
        mask_roi_extractor=extractor(6),
        mask_head=dict(type='FCNMaskHead', num_convs=1, in_channels=8, conv_out_channels=8,
                       num_classes=3))
    if stages > 1:
        roi_head |= dict(type='CascadeRoIHead', num_stages=stages,
                         stage_loss_weights=[1] * stages, bbox_head=[box_head] * stages)
    nms = dict(type='nms', iou_threshold=0.5)
    cfg = retinanet()
    cfg.model.update(
        type='MaskRCNN' if stages == 1 else 'CascadeRCNN', train_cfg=None,
        roi_head=roi_head,
        rpn_head=dict(type=rpn_head, in_channels=8, feat_channels=8, bbox_coder=coder,
                      anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 2.],
                                            strides=[4, 8])),
        test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=30, nms=nms, min_bbox_size=0),
                      rcnn=dict(score_thr=0.05, max_per_img=20, mask_thr_binary=0.5, nms=nms)))
    del cfg.model['bbox_head']
    return cfg


def cascade_rcnn() -> Config:
    return mask_rcnn(stages=2)
