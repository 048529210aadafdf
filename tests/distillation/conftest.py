"""A small teacher and student, and a batch."""
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.structures import BaseDataElement

from tests.distillation.dense_models import DETECTOR, SEGMENTOR, Dense

CLASSES = 5


def teacher_config(**changes: Any) -> dict:
    config = dict(type='mmpretrain.ImageClassifier',
                  backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
                  neck=dict(type='GlobalAveragePooling'),
                  head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=32),
                  data_preprocessor=dict(mean=[10., 20., 30.], std=[50., 60., 70.], to_rgb=True))
    return {**config, **changes}


def student_config(**changes: Any) -> dict:
    config = dict(type='vit_plugin.DistilledClassifier',
                  backbone=dict(type='vit_plugin.DistilledDeiT', img_size=32, patch_size=8,
                                arch=dict(embed_dims=16, num_layers=2, num_heads=2,
                                          feedforward_channels=32)),
                  head=dict(type='vit_plugin.DistilledDeiTHead', num_classes=CLASSES,
                            in_channels=16),
                  data_preprocessor=dict(mean=[10., 20., 30.], std=[50., 60., 70.], to_rgb=True),
                  distillation=dict(type='vit_plugin.HardDistillation'))
    return {**config, **changes}


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmpretrain.registry import MODELS
    torch.manual_seed(0)
    teacher = MODELS.build(teacher_config())
    teacher.init_weights()
    for module in teacher.modules():  # statistics as after training, so that modes differ
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict(), meta={}), path)
    return path


@pytest.fixture
def batch() -> tuple[torch.Tensor, list[BaseDataElement]]:
    from mmpretrain.structures import DataSample
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 32, 32, generator=generator)
    return images, [DataSample().set_gt_label(i) for i in range(4)]


@pytest.fixture(scope='session')
def detector(coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Dense:
    return Dense(DETECTOR, coco, tmp_path_factory.mktemp('detector'))


@pytest.fixture(scope='session')
def segmentor(ade: Path, tmp_path_factory: pytest.TempPathFactory) -> Dense:
    return Dense(SEGMENTOR, ade, tmp_path_factory.mktemp('segmentor'))
