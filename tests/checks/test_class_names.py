"""A checkpoint's classes are compared with the data's by name."""
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset

from tests.cli.test_train_and_test import detection, segmentation
from tests.conftest import needs
from tests.tool_runs import Run
from vit_plugin.checks.classes import check_folder_names
from vit_plugin.registry import DATASETS
from vit_plugin.training.sampling import SeededDataset


@pytest.fixture
def folder(image_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Folders of images under other names."""
    def folder(*names: str) -> Path:
        root = tmp_path / '_'.join(names)
        for i, name in enumerate(names):
            shutil.copytree(image_folder / ('dark', 'light')[i % 2], root / name)
        return root
    return folder


@pytest.fixture
def trained(tool: Callable[..., None], config: Path, folder: Callable[..., Path],
            tmp_path: Path) -> Path:
    """A checkpoint of a training on bird, cat."""
    tool('train', config, '--work-dir', tmp_path / 'first', '--data-root', folder('bird', 'cat'),
         '--no-validate', '--cfg-options', 'train_cfg.max_epochs=1')
    return tmp_path / 'first/epoch_1.pth'


BOTH = "the checkpoint has ['bird', 'cat'], the data have ['cat', 'fox']"


def test_test(tool: Callable[..., None], stopped: Run, config: Path, trained: Path, work: Path,
              folder: Callable[..., Path], tmp_path: Path) -> None:
    """An accuracy came out, with shifted labels."""
    said = stopped('test', config, trained, '--work-dir', work, '--data-root', folder('cat', 'fox'))
    assert BOTH in said
    tool('test', config, trained, '--work-dir', work, '--data-root', tmp_path / 'bird_cat')
    tool('test', config, trained, '--work-dir', work, '--data-root', folder('bird'))
    content = torch.load(trained, weights_only=False)  # as before OpenMMLab 2
    content['meta'] = {'CLASSES': content['meta']['dataset_meta']['classes']}
    torch.save(content, trained)
    assert BOTH in stopped('test', config, trained, '--work-dir', work, '--data-root',
                           tmp_path / 'cat_fox')
    del content['meta']
    torch.save(content, trained)  # without names nothing is compared
    tool('test', config, trained, '--work-dir', work, '--data-root', tmp_path / 'cat_fox')


def test_resume_and_load_from(tool: Callable[..., None], stopped: Run, config: Path, trained: Path,
                              work: Path, folder: Callable[..., Path],
                              capfd: pytest.CaptureFixture) -> None:
    options = ('--work-dir', work, '--no-validate', '--data-root', folder('cat', 'fox'))
    assert BOTH in stopped('train', config, *options, '--resume', trained)
    capfd.readouterr()
    tool('train', config, *options, '--cfg-options', f'load_from={trained}')
    log = ''.join(capfd.readouterr())
    assert f'load_from: the head fits, but was trained on other classes: {BOTH}' in log
    assert (work / 'epoch_2.pth').is_file()


def test_metainfo_that_the_folders_belie(stopped: Run, config: Path, trained: Path, work: Path,
                                         folder: Callable[..., Path]) -> None:
    """mmpretrain labels by the folders, whatever the names."""
    options = ('--work-dir', work, '--data-root', folder('cat', 'fox'), '--cfg-options')
    said = stopped('test', config, trained, *options,
                   "test_dataloader.dataset.metainfo.classes=(bird,cat)")
    assert "metainfo has ['bird', 'cat'], the folders are ['cat', 'fox']" in said


def test_metainfo_that_folders_within_belie(folder: Callable[..., Path]) -> None:
    """In whatever other data sets the folders are."""
    needs('mmpretrain')
    root = str(folder('cat', 'fox'))

    def part(*names: str) -> BaseDataset:
        return DATASETS.build(dict(type='vit_plugin.ImageFolder', data_root=root, pipeline=[],
                                   metainfo=dict(classes=names)))
    right, wrong = part('cat', 'fox'), part('fox', 'cat')
    assert not check_folder_names(SeededDataset(RepeatDataset(right, 2)))
    assert not check_folder_names(ConcatDataset([right, right]))
    one = ConcatDataset([right, wrong], ignore_keys=['classes'])
    for dataset in (one, ConcatDataset([wrong, wrong]), SeededDataset(one)):
        findings = check_folder_names(dataset)
        assert findings
        assert "metainfo has ['fox', 'cat'], the folders are" in findings[-1].message


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_other_toolkits(task: str, tool: Callable[..., None], stopped: Run, work: Path,
                        tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write, data = {'detection': (detection, 'coco'), 'segmentation': (segmentation, 'ade')}[task]
    config = tmp_path / f'{task}.py'
    config.write_text(write('SwinTransformer', request.getfixturevalue(data)))
    tool('train', config, '--work-dir', work, '--no-validate', '--cfg-options',
         'train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1')
    text = config.read_text()
    others = {'detection': ("classes=('grey', 'white')", "classes=('white', 'grey')"),
              'segmentation': ("classes=('out', 'in')", "classes=('in', 'out')")}[task]
    assert others[0] in text
    config.write_text(text.replace(*others))
    said = stopped('test', config, work / 'iter_1.pth', '--work-dir', work)
    first, second = ('grey', 'white') if task == 'detection' else ('out', 'in')
    assert (f"the checkpoint has ['{first}', '{second}'], the data have ['{second}', '{first}']"
            in said)
