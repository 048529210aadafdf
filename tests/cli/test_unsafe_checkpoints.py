"""No way into a run, or a tool, lets a checkpoint run code, unless the user says so."""
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import mmpretrain  # noqa: F401, whose models are loaded
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import CheckpointLoader, Runner

from tests.tool_runs import CONFIG, Run
from vit_plugin.checkpoints import CheckpointError
from vit_plugin.checkpoints.runner import read_as_data

TEACHER = """
model['type'] = 'vit_plugin.DistilledClassifier'
model['distillation'] = dict(type='vit_plugin.HardDistillation')
model['teacher'] = dict(
    type='mmpretrain.ImageClassifier', checkpoint={checkpoint!r},
    backbone=dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4,
                  init_cfg=dict(type='Pretrained', checkpoint={init!r}) if {init!r} else None),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=32),
    data_preprocessor=dict(mean=[0.] * 3, std=[1.] * 3, to_rgb=True))
"""
HOOK = "default_hooks['check'] = dict(type='vit_plugin.CheckHook')\n"


class Code:
    """Pickled as the call that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    """The folder that is there once a checkpoint has run its code."""
    return tmp_path / 'executed'


@pytest.fixture(scope='module')
def first(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the checkpoint of a run's first epoch holds."""
    work = tmp_path_factory.mktemp('first')
    cfg = Config.fromstring(CONFIG.format(folder=image_folder), '.py')
    cfg.work_dir, cfg.train_cfg.max_epochs = str(work), 1
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    Runner.from_cfg(cfg).train()
    DefaultScope._instance_dict.clear()
    return torch.load(work / 'epoch_1.pth', weights_only=False)


@pytest.fixture
def trained(first: dict, tmp_path: Path) -> Path:
    """That checkpoint."""
    torch.save(first, tmp_path / 'epoch_1.pth')
    return tmp_path / 'epoch_1.pth'


@pytest.fixture
def unsafe(first: dict, executed: Path, tmp_path: Path) -> Path:
    """The same with code in it; it could be resumed otherwise."""
    path = tmp_path / 'unsafe/epoch_1.pth'
    path.parent.mkdir()
    torch.save({**first, 'more': Code(executed)}, path)
    return path


def arguments(way: str, config: Path, unsafe: Path) -> list[object]:
    """The command that reads the unsafe file in this way."""
    options = ['--work-dir', unsafe.parent, '--cfg-options', 'train_cfg.max_epochs=2']
    if way in ('test', 'visualize', 'convert'):
        return {'test': ['test', config, unsafe, '--work-dir', unsafe.parent],
                'visualize': ['visualize', 'positions', config, unsafe,
                              '--out', unsafe.parent / 'a.png'],
                'convert': ['convert_checkpoint', unsafe, unsafe.parent / 'a.pth']}[way]
    if way == 'resume':
        return ['train', config, '--resume', unsafe, *options]
    if way == 'resume the last one':
        return ['train', config, '--resume', *options]
    if way == 'resume by the config':
        (unsafe.parent / 'last_checkpoint').write_text(str(unsafe))
        return ['train', config, *options, 'resume=True']
    if way.startswith('teacher'):
        checkpoint, init = (str(unsafe), '') if way == 'teacher' else (None, str(unsafe))
        config.write_text(config.read_text() + TEACHER.format(checkpoint=checkpoint, init=init))
        return ['train', config, *options]
    if way == 'load_from':
        return ['train', config, *options, f'load_from={unsafe}']
    return ['train', config, *options, f'{way}.type=Pretrained', f'{way}.checkpoint={unsafe}']


NAMED = ['test', 'resume', 'resume the last one', 'resume by the config', 'load_from', 'visualize',
         'convert']


@pytest.mark.parametrize('way', [
    *NAMED, 'model.backbone.init_cfg', 'model.head.init_cfg', 'model.init_cfg', 'teacher',
    "teacher's init_cfg"])
def test_code_is_refused(way: str, stopped: Run, config: Path, unsafe: Path,
                         executed: Path) -> None:
    said = stopped(*arguments(way, config, unsafe))
    assert f"cannot read the checkpoint '{unsafe}': reading it would run code (posix.mkdir)" in said
    assert '--trust-checkpoint' in said
    assert not executed.exists()


@pytest.mark.parametrize('way', NAMED)
def test_trusted_code_is_run(way: str, tool: Callable[..., None], config: Path, unsafe: Path,
                             executed: Path) -> None:
    name, *others = arguments(way, config, unsafe)
    tool(name, '--trust-checkpoint', *others)
    assert executed.exists()


@pytest.mark.parametrize('way', ['test', 'resume', 'load_from', 'visualize'])
def test_weights_that_are_nan_are_refused(way: str, stopped: Run, config: Path, first: dict,
                                          trained: Path) -> None:
    """Those of the head, which no backbone sees."""
    content = deepcopy(first)
    name = next(name for name in content['state_dict'] if name.startswith('head.'))
    content['state_dict'][name].view(-1)[0] = float('nan')
    torch.save(content, trained)
    assert f'NaN or infinite: {name}' in stopped(*arguments(way, config, trained))


def test_averages_that_are_nan_are_refused(stopped: Run, config: Path, first: dict,
                                           trained: Path) -> None:
    """Of an optimizer, which make the weights NaN at the next step."""
    content = deepcopy(first)
    states = content['optimizer']['state']
    next(iter(states.values()))['exp_avg'].view(-1)[0] = float('nan')
    torch.save(content, trained)
    said = stopped(*arguments('resume', config, trained))
    assert 'the optimizer of the checkpoint has running averages that are NaN' in said


def test_teacher_that_is_nan_is_refused(stopped: Run, config: Path, tmp_path: Path) -> None:
    text = TEACHER.format(checkpoint=str(tmp_path / 'teacher.pth'), init='')
    teacher = Config.fromstring('model = dict()' + text, '.py').model.teacher
    teacher.pop('checkpoint')
    weights = MODELS.build(teacher).state_dict()
    weights['backbone.bn1.running_var'][0] = float('nan')
    torch.save(weights, tmp_path / 'teacher.pth')
    config.write_text(config.read_text() + text)
    said = stopped('train', config, '--work-dir', tmp_path / 'work')
    assert 'NaN or infinite: backbone.bn1.running_var' in said


def test_config_can_trust(tool: Callable[..., None], config: Path, unsafe: Path, executed: Path
                          ) -> None:
    tool(*arguments('load_from', config, unsafe), 'default_hooks.check.type=vit_plugin.CheckHook',
         'default_hooks.check.trust_checkpoint=True')
    assert executed.exists()


def test_trust_is_in_one_file_alone(stopped: Run, config: Path, unsafe: Path, trained: Path,
                                    executed: Path) -> None:
    said = stopped(*arguments('model.head.init_cfg', config, unsafe), f'load_from={trained}',
                   '--trust-checkpoint')
    assert 'would run code' in said
    assert not executed.exists()


@pytest.mark.parametrize('stage', ['train', 'test'])
def test_scripts_of_the_toolkits(stage: str, config: Path, unsafe: Path, executed: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """With one line of config; they give it to mmengine's runner."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', {**CheckpointLoader._schemes})
    config.write_text(config.read_text() + HOOK)
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.load_from = str(unsafe.parent / stage), str(unsafe)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.collate_fn = dict(type='default_collate')
    runner = Runner.from_cfg(cfg)
    with pytest.raises(CheckpointError, match=r'posix\.mkdir'):
        getattr(runner, stage)()
    assert not executed.exists()


@pytest.mark.parametrize('name', [
    'https://example.org/a-0123abcd.pth', 'torchvision://resnet18', 'modelzoo://resnet18',
    'open-mmlab://detectron2/resnet50_caffe', 'openmmlab://detectron2/resnet50_caffe',
    'mmcls://vgg11'])
def test_addresses(name: str, executed: Path, tmp_path: Path,
                   monkeypatch: pytest.MonkeyPatch) -> None:
    """What was downloaded before: these are the names that torch gives the files."""
    files = {'https': 'a-0123abcd', 'torchvision': 'resnet18-f37072fd',
             'modelzoo': 'resnet18-f37072fd', 'open-mmlab': 'resnet50_msra-5891d200',
             'openmmlab': 'resnet50_msra-5891d200',
             'mmcls': 'vgg11_batch256_imagenet_20210208-4271cd6c'}
    monkeypatch.setattr(CheckpointLoader, '_schemes', {**CheckpointLoader._schemes})
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    file = tmp_path / f'hub/checkpoints/{files[name.split(":")[0]]}.pth'
    file.parent.mkdir(parents=True)
    torch.save(dict(state_dict={'backbone.a': torch.ones(2)}, more=Code(executed)), file)
    read_as_data()
    with pytest.raises(CheckpointError, match=r'posix\.mkdir'):
        CheckpointLoader.load_checkpoint(name)
    assert not executed.exists()
    torch.save(dict(state_dict={'backbone.a': torch.ones(2)}), file)
    found, = CheckpointLoader.load_checkpoint(name)['state_dict']
    assert found == ('a' if 'mmcls' in name else 'backbone.a')


def test_no_loader_of_mmengine_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointLoader, '_schemes', {**CheckpointLoader._schemes})
    read_as_data()
    assert {loader.__module__ for loader in CheckpointLoader._schemes.values()} == {
        'vit_plugin.checkpoints.runner'}
    with pytest.raises(CheckpointError, match='bring the file here'):
        CheckpointLoader.load_checkpoint('s3://bucket/a.pth')


def test_a_checkpoint_names_no_file_to_delete(tool: Callable[..., None], config: Path, first: dict,
                                             trained: Path, work: Path, tmp_path: Path) -> None:
    """The best checkpoint of the run that is resumed is replaced only where this run writes."""
    (tmp_path / 'mine.txt').touch()
    hub = deepcopy(first['message_hub'])
    hub['runtime_info'].update(best_ckpt=str(tmp_path / 'mine.txt'), best_score=-1.)
    hub['resumed_keys'].update(best_ckpt=True, best_score=True)
    torch.save(dict(first, message_hub=hub), trained)
    tool('train', config, '--work-dir', work, '--resume', trained, '--cfg-options',
         'default_hooks.checkpoint.save_best=auto')
    assert (work / 'best_accuracy_top1_epoch_2.pth').is_file()
    assert (tmp_path / 'mine.txt').is_file()


def test_config_in_a_checkpoint_is_not_run(tool: Callable[..., None], config: Path, first: dict,
                                           trained: Path, executed: Path, work: Path) -> None:
    """mmengine takes meta.config, which MMCV wrote, for Python code when it resumes."""
    meta = dict(first['meta'], config=f'import os\nos.mkdir({str(executed)!r})\n')
    torch.save(dict(first, meta=meta), trained)
    tool('train', config, '--work-dir', work, '--resume', trained)
    assert (work / 'epoch_2.pth').is_file()
    assert not executed.exists()
