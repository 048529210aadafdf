"""Every classification and distillation config trains on a small folder in ImageNet's format."""
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from tests.conftest import ROOT, WNIDS
from tests.shrink import own_backbone

CONFIGS = sorted(path for folder in ('classification', 'distillation')
                 for path in (ROOT / 'configs' / folder).glob('*.py')
                 if '_from_' not in path.stem)  # see distillation/test_configs.py
NAMES = [path.stem for path in CONFIGS]


def shrink(cfg: Config) -> Config:
    """The same recipe for a tiny model; two iterations with a validation after each."""
    backbone, head = own_backbone(cfg.model), cfg.model.head
    cfg.data_preprocessor.num_classes = head.num_classes = len(WNIDS)
    cfg.val_evaluator.topk = 1
    distilled = 'teacher' in cfg.model
    if 'Swin' in backbone.type:
        backbone.arch = dict(embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8))
        head.in_channels = 64
    else:
        backbone.arch = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)
        backbone.patch_size = backbone.get('img_size', 224) // 4
        backbone.frozen_stages = min(backbone.get('frozen_stages', -1), 3)
        head.in_channels = 16
    backbone.pop('init_cfg', None)
    cfg.load_from = None
    if distilled and cfg.model.teacher.type == 'TimmClassifier':
        cfg.model.teacher.update(model_name='test_resnet', pretrained=False,
                                 num_classes=len(WNIDS))
    elif distilled:
        cfg.model.teacher.backbone.update(depth=18, base_channels=4, stem_channels=4)
        cfg.model.teacher.head.update(in_channels=32, num_classes=len(WNIDS))
        cfg.model.teacher.checkpoint = None
    # An untrained teacher would rightly stop the training.
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks
                        if hook.type != 'vit_plugin.TeacherCheckHook']
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        dataset = loader.dataset.get('dataset', loader.dataset)
        dataset.metainfo = dict(classes=WNIDS)
    cfg.train_cfg.max_epochs = 2
    cfg.param_scheduler[0].end = 1
    if len(cfg.param_scheduler) == 2:
        cfg.param_scheduler[1].begin = 1
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    cfg.randomness.seed = 0
    return cfg


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_two_iterations(path: Path, imagenet: Path, tool: Callable[..., None], tmp_path: Path,
                        capfd: pytest.CaptureFixture) -> None:
    small, work = tmp_path / 'small.py', tmp_path / 'work'
    shrink(Config.fromfile(path)).dump(small)
    tool('train', small, '--work-dir', work, '--data-root', imagenet)
    log = ''.join(capfd.readouterr())
    assert log.count('accuracy/top1:') == 2
    content = torch.load(work / 'epoch_2.pth', weights_only=False)
    assert content['meta']['iter'] == 2
    assert not any('teacher' in key for key in content['state_dict'])


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_header_and_model(path: Path) -> None:
    text = path.read_text()
    header = text[:text.index('_base_')]
    assert f'configs/{path.parent.name}/{path.name}' in header  # its command
    assert 'ublished' in header or 'no result' in header
    cfg = Config.fromfile(path)
    assert cfg.default_hooks.check.type == 'vit_plugin.CheckHook'
    own_backbone(cfg.model)
    student = dict(cfg.model, type='mmpretrain.ImageClassifier')
    for key in ('teacher', 'distillation'):
        student.pop(key, None)
    with torch.device('meta'):
        model = MODELS.build(student)
    # Millions of parameters with a classifier of 1000 classes, in mmpretrain's metafiles; one of
    # 10 classes has less, a second token with its classifier has more.
    sizes = {'deit-tiny': 5.72, 'deit-small': 22.05, 'deit-base': 86.57, 'swin-tiny': 28.29,
             'dinov2-small': 22.06,
             'swin-small': 49.61, 'swinv2-tiny': 28.35, 'swinv2-small': 49.73, 'swinv2-base': 87.92,
             'swinv2-large': 196.75, 'swin-base': 87.77, 'swin-large': 196.53}
    expected = next(size for name, size in sizes.items() if path.stem.startswith(name))
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert count == pytest.approx(expected, rel=0.04)
