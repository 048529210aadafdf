"""What is checked before training, beside what tests/cli/test_messages.py has."""
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from tests.conftest import ROOT
from tests.shrink import shrunk
from tests.test_configs_dense import build
from tests.tool_runs import Run
from vit_plugin.checks.settings import check_crop, check_frozen
from vit_plugin.errors import UserError

SEGMENTATION = ROOT / 'configs/segmentation/upernet_swin-tiny_160k_ade20k-512x512.py'

WARM_UP = """
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch={by_epoch}, end=5),
                   dict(type='CosineAnnealingLR', by_epoch={by_epoch}, begin=5{rest})]
"""


@pytest.fixture
def add(config: Path) -> Callable[[str], Path]:
    """Add lines to the config."""
    def add(text: str) -> Path:
        config.write_text(config.read_text() + text)
        return config
    return add


@pytest.fixture
def warnings(tool: Callable[..., None], work: Path, capfd: pytest.CaptureFixture,
             monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a run says before training."""
    def warnings(*arguments: object) -> str:
        monkeypatch.setattr(Runner, 'train', lambda self: None)
        tool('train', *arguments, '--work-dir', work)
        return ''.join(capfd.readouterr())
    return warnings


def test_training_that_is_shorter_than_its_warm_up(stopped: Run, work: Path,
                                                   add: Callable[[str], Path]) -> None:
    """mmengine: end should be larger than begin."""
    path = add(WARM_UP.format(by_epoch=True, rest=', end=2'))
    said = stopped('train', path, '--work-dir', work)
    assert 'not longer than its warm-up' in said
    assert 'param_scheduler.0.end=1 param_scheduler.1.begin=1' in said


def test_warm_up_that_never_ends(warnings: Callable[..., str],
                                 add: Callable[[str], Path]) -> None:
    path = add(WARM_UP.format(by_epoch=False, rest=', end=9'))
    said = warnings(path)
    assert 'the whole training has 4 iterations, and the learning rate rises for 5' in said
    assert 'stays too low' not in warnings(path, '--cfg-options', 'param_scheduler.0.end=2')


def test_no_workers(tool: Callable[..., None], work: Path,
                    add: Callable[[str], Path]) -> None:
    """torch: persistent_workers option needs num_workers > 0."""
    path = add("train_dataloader['persistent_workers'] = True\n")
    tool('train', path, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1')
    assert (work / 'epoch_1.pth').is_file()


def test_more_of_the_highest_scores_than_classes(stopped: Run, work: Path, config: Path,
                                                 warnings: Callable[..., str]) -> None:
    """torch, after a whole epoch: selected index k out of range."""
    said = stopped('train', config, '--work-dir', work, '--cfg-options', 'val_evaluator.topk=(1,5)')
    assert 'topk=(1, 5), but there are 2 classes: set val_evaluator.topk' in said
    assert 'to (1,)' in said
    said = warnings(config, '--cfg-options', 'val_evaluator.topk=(1,2)')
    assert 'the evaluator has topk' not in said


def test_frozen_random_weights(warnings: Callable[..., str], config: Path,
                               tmp_path: Path) -> None:
    frozen = ('--cfg-options', 'model.backbone.frozen_stages=1')
    assert 'frozen_stages=1 freezes random weights' in warnings(config, *frozen)
    torch.save({}, tmp_path / 'weights.pth')
    said = warnings(config, *frozen, f'load_from={tmp_path}/weights.pth')
    assert 'freezes random weights' not in said
    adapted = dict(type='vit_plugin.LoRA', backbone=dict(type='vit_plugin.DeiT'))
    finding, = check_frozen(Config(dict(model=dict(backbone=adapted))))
    assert ('LoRA freezes random weights, since neither model.backbone.backbone.init_cfg'
            in finding.message)
    adapted['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='a.pth')
    assert check_frozen(Config(dict(model=dict(backbone=adapted)))) == []


def test_crop_and_padding_that_differ() -> None:
    cfg = Config.fromfile(SEGMENTATION)
    assert check_crop(cfg) == []
    cfg.train_dataloader.dataset.dataset.pipeline[4].crop_size = (64, 64)
    note, = check_crop(cfg)
    assert ('train_dataloader.dataset.dataset.pipeline.4.crop_size=(64, 64), but '
            'model.data_preprocessor.size=(512, 512)') in note.message


def test_another_optimizer_on_resume(tool: Callable[..., None], stopped: Run,
                                     config: Path, work: Path) -> None:
    """mmengine: KeyError: 'momentum', at the first step."""
    tool('train', config, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1')
    said = stopped('train', config, '--work-dir', work, '--resume', '--cfg-options',
                   'optim_wrapper.optimizer.type=SGD')
    assert "the config's SGD has momentum" in said
    assert 'load_from=CHECKPOINT' in said
    tool('train', config, '--work-dir', work, '--resume')
    assert (work / 'epoch_2.pth').is_file()


def test_a_run_that_does_not_start_leaves_the_config(tool: Callable[..., None], stopped: Run,
                                                     config: Path, work: Path,
                                                     tmp_path: Path) -> None:
    tool('train', config, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1')
    former = (work / config.name).read_text()
    stopped('train', config, '--work-dir', work, '--data-root', tmp_path / 'absent')
    assert (work / config.name).read_text() == former


def test_load_from_of_another_architecture(stopped: Run, config: Path, work: Path,
                                           tmp_path: Path) -> None:
    torch.save(dict(state_dict={'conv1.weight': torch.ones(1)}), tmp_path / 'resnet.pth')
    said = stopped('train', config, '--work-dir', work, '--cfg-options',
                   f'load_from={tmp_path}/resnet.pth')
    assert f"cannot load load_from='{tmp_path}/resnet.pth': neither a Swin nor a ViT" in said


def edited(ade: Path, tmp_path: Path, split: str, edit: Callable[[Path], object]) -> Config:
    """A segmentor's config with a copy of the data in one split, after ``edit`` of its maps."""
    shutil.copytree(ade, tmp_path / 'ade')
    for path in (tmp_path / 'ade/annotations').iterdir():
        edit(path)
    cfg = Config(shrunk(SEGMENTATION, ade)._cfg_dict.to_dict())  # loaders that share nothing
    dataset = cfg[f'{split}_dataloader'].dataset
    dataset.get('dataset', dataset).data_root = str(tmp_path / 'ade')
    return cfg


def run(cfg: Config, split: str, tmp_path: Path, stopped: Run) -> str:
    """The message that training, or testing random weights, ends with."""
    cfg.dump(tmp_path / f'labels_{split}.py')
    torch.save(dict(state_dict=build(cfg).state_dict()), tmp_path / 'model.pth')
    tool = ('test', tmp_path / f'labels_{split}.py', tmp_path / 'model.pth')
    if split != 'test':
        tool = ('train', tool[1])
    return stopped(*tool, '--work-dir', tmp_path / 'work')


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_label_maps_of_nothing(split: str, ade: Path, tmp_path: Path, stopped: Run) -> None:
    """mmseg: loss 0, accuracy 100, mIoU nan. Also in a config without the hook."""
    nothing = Image.fromarray(np.full((64, 64), 255, np.uint8))
    cfg = edited(ade, tmp_path, split, nothing.save)
    hooks = cfg.pop('custom_hooks') if split == 'train' else cfg.custom_hooks
    assert hooks[0] == dict(type='vit_plugin.LabelCheckHook')
    said = run(cfg, split, tmp_path, stopped)
    assert 'Error: all pixels of all 4 label maps are ignored' in said


def test_label_map_that_is_missing(ade: Path, tmp_path: Path, stopped: Run) -> None:
    """Found before training, not when its turn comes."""
    cfg = edited(ade, tmp_path, 'val', lambda path: path.name == '2.png' and path.unlink())
    said = run(cfg, 'val', tmp_path, stopped)
    assert "Error: 1 of 4 label maps are not on the disk: '" in said
    assert 'annotations/2.png' in said


def test_evaluated_label_that_is_no_class(ade: Path, tmp_path: Path, stopped: Run) -> None:
    """mmseg leaves its pixels out of the mIoU without a word."""
    labels = np.full((64, 64), 1, np.uint8)
    labels[:8] = 200
    cfg = edited(ade, tmp_path, 'test', Image.fromarray(labels).save)
    said = run(cfg, 'test', tmp_path, stopped)
    assert 'has the label(s) [200], but' in said


@pytest.fixture
def script(add: Callable[[str], Path], work: Path) -> Callable[..., Runner]:
    """What the toolkits' own scripts do with the config and one more line."""
    def script(**settings: object) -> Runner:
        cfg = Config.fromfile(add("default_hooks['check'] = dict(type='vit_plugin.CheckHook')\n"))
        cfg.work_dir = str(work)
        cfg.merge_from_dict(settings)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.collate_fn = dict(type='default_collate')
        return Runner.from_cfg(cfg)
    return script


def test_scripts_of_the_toolkits_check_the_data(script: Callable[..., Runner]) -> None:
    head = {'model.head.num_classes': 3}
    with pytest.raises(UserError, match=r'have 2 classes, but the model .*: head 3\.'):
        script(**head).train()
    with pytest.raises(UserError, match=r'have 2 classes, but the model .*: head 3\.'):
        script(**head).test()
    with pytest.raises(UserError, match=r'8 images, fewer than a batch \(9 per process\)'):
        script(**{'train_dataloader.batch_size': 9}).train()


def test_scripts_of_the_toolkits_check_settings_and_checkpoints(
        script: Callable[..., Runner], tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    runner = script(**{'train_cfg.max_epochs': 1, 'model.backbone.frozen_stages': 1})
    runner.train()
    assert 'frozen_stages=1 freezes random weights' in ''.join(capfd.readouterr())
    weights = runner.model.state_dict()
    del weights['head.layers.head.bias']
    torch.save(weights, tmp_path / 'other.pth')
    with pytest.raises(UserError, match=r"other\.pth' is of another model .*\n.*head.bias is mis"):
        script(load_from=str(tmp_path / 'other.pth')).test()
