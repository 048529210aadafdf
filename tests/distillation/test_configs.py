"""The configs of detectors, segmentors and unlabelled pretraining, made small, train and resume."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from tests.conftest import ROOT, needs
from tests.shrink import shrunk
from vit_plugin.backbones.archs import SWIN

CONFIGS = sorted((ROOT / 'configs/distillation').glob('*_from_*.py'))
DENSE = [path for path in CONFIGS if 'unlabelled' not in path.stem]
UNLABELLED = [path for path in CONFIGS if 'unlabelled' in path.stem]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_header_names_its_own_command(path: Path) -> None:
    header = path.read_text().split('\n_base_')[0]
    assert f'configs/{path.parent.name}/{path.name}' in header
    assert 'ublished' in header


@pytest.mark.parametrize('path', DENSE, ids=lambda path: path.stem)
def test_pair_of_full_width_matches(path: Path) -> None:
    needs('mmseg' if 'upernet' in path.stem else 'mmdet')
    cfg = Config.fromfile(path)
    teacher = Config.fromfile(ROOT / cfg.model.teacher.config)
    shallow(teacher.model.backbone)
    shallow(cfg.model.backbone)
    cfg.model.teacher = dict(checkpoint=None, config=dict(
        model=teacher.model, default_scope=teacher.default_scope))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    assert model.teacher.entry.features == ('upernet' not in path.stem)


def shallow(backbone: Any) -> None:
    """One block a stage, as wide as before, and random weights."""
    backbone.init_cfg = None
    if backbone.type == 'vit_plugin.SwinTransformer':
        backbone.arch = dict(SWIN[backbone.arch], depths=(1, 1, 1, 1))


@pytest.mark.parametrize('path', DENSE, ids=lambda path: path.stem)
def test_dense_config_trains_evaluates_and_resumes(
        path: Path, coco: Path, ade: Path, tmp_path: Path, tool: Callable[..., None],
        capfd: pytest.CaptureFixture) -> None:
    segments = 'upernet' in path.stem
    needs('mmseg' if segments else 'mmdet')
    data = ade if segments else coco
    cfg = shrunk(path, data)
    teacher = shrunk(ROOT / Config.fromfile(path).model.teacher.config, data)
    teacher.dump(tmp_path / 'teacher.py')
    with DefaultScope.overwrite_default_scope(teacher.default_scope):
        torch.save(dict(state_dict=MODELS.build(teacher.model).state_dict()),
                   tmp_path / 'teacher.pth')
    cfg.model.teacher = dict(config=str(tmp_path / 'teacher.py'),
                             checkpoint=str(tmp_path / 'teacher.pth'))
    cfg.randomness = dict(seed=0)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1)
    cfg.dump(tmp_path / 'small.py')
    run = ('train', tmp_path / 'small.py', '--work-dir')
    tool(*run, tmp_path / 'whole')
    tool(*run, tmp_path / 'resumed', '--resume', tmp_path / 'whole/iter_1.pth')
    saved, resumed = (torch.load(tmp_path / work / 'iter_2.pth', weights_only=False)
                      for work in ('whole', 'resumed'))
    assert 'train/loss_distill' in saved['message_hub']['log_scalars']
    assert not any(key.startswith(('teacher', 'distillation')) for key in saved['state_dict'])
    assert ('mIoU:' if segments else 'coco/bbox_mAP:') in ''.join(capfd.readouterr())
    for key, value in saved['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][key]), key
    if segments:  # evaluation needs no teacher, and leaves the config as it is
        (tmp_path / 'teacher.py').unlink()
        tool('test', tmp_path / 'whole/small.py', tmp_path / 'whole/iter_2.pth', '--work-dir',
             tmp_path / 'whole')
        assert 'mIoU:' in ''.join(capfd.readouterr())
        assert Config.fromfile(tmp_path / 'whole/small.py').model.teacher == cfg.model.teacher


@pytest.mark.parametrize('path', UNLABELLED, ids=lambda path: path.stem)
def test_unlabelled_config_trains_and_resumes(path: Path, image_folder: Path, tmp_path: Path,
                                  tool: Callable[..., None]) -> None:
    needs('mmpretrain')
    cfg = Config.fromfile(path)
    if 'swin' in path.stem:
        cfg.model.backbone.arch = dict(embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8))
    else:
        cfg.model.backbone.arch = dict(embed_dims=16, num_layers=3, num_heads=2,
                                       feedforward_channels=32)
    cfg.model.teacher.update(pretrained=False, embed_dim=16, depth=1, num_heads=2)
    cfg.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    cfg.train_cfg.max_epochs = 2
    cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = 1
    cfg.randomness.seed = 0
    cfg.dump(tmp_path / 'small.py')
    run = ('train', tmp_path / 'small.py', '--data-root', image_folder, '--work-dir')
    tool(*run, tmp_path / 'whole')
    tool(*run, tmp_path / 'resumed', '--resume', tmp_path / 'whole/epoch_1.pth')
    whole, resumed = (torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)
                      for name in ('whole', 'resumed'))
    assert whole['meta']['iter'] == resumed['meta']['iter'] == 4
    assert all(key.startswith('backbone.') for key in whole['state_dict'])
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][name]), name
