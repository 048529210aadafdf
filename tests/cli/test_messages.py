"""Every way a first hour goes wrong ends with one message that names the next step."""
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from tests.conftest import ROOT
from tests.test_configs_dense import build
from tests.tool_runs import Run
from vit_plugin.cli import messages
from vit_plugin.cli.train import set_amp


@pytest.mark.parametrize(('option', 'message'), [
    ('model.backbone.type=vit_plugin.DeitS', "no such model. Did you mean 'vit_plugin.DeiT'"),
    ('model.type=ImageClasifier', "no such model. Did you mean 'ImageClassifier'"),
    ('optim_wrapper.optimizer.type=AdmW', "no such optimizer. Did you mean 'AdamW'"),
    ('optim_wrapper.optimizer.lrr=1', "unexpected keyword argument 'lrr'. Did you mean 'lr'"),
    ('train_dataloader.batchsize=1', "unexpected keyword argument 'batchsize'"),
    ('train_dataloader=3', 'train_dataloader must be a dict, got 3'),
    ('optim_wrapper=None', 'the config has no optim_wrapper'),
    ('train_dataloder.batch_size=1', "no setting 'train_dataloder'. Did you mean 'train_datal"),
    ('pipeline.9.type=PackInputs', '--cfg-options: Index 9 exceeds the length'),
    ('train_dataloader.dataset.data_root=/absent', "no folder '/absent'.*--data-root"),
    ('train_dataloader.dataset.indices=0', 'a data set is empty.*--data-root'),
    ('train_dataloader.batch_size=9', r'8 images, fewer than a batch \(9 .*batch_size=N'),
    ('data_preprocessor.num_classes=3', 'have 2 classes.*data_preprocessor 3. To set it: '
                                        '--cfg-options data_preprocessor.num_classes=2'),
    ('optim_wrapper.type=AmpOptimWrapper', 'Add --amp, which takes bfloat16 without a GPU'),
])
def test_config_and_options(option: str, message: str, stopped: Run, config: Path, work: Path,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('vit_plugin.checks.settings.get_device', lambda: 'cpu')
    said = stopped('train', config, '--work-dir', work, '--cfg-options', option)
    assert said.strip().startswith('Error: ')
    assert re.search(message, said), said
    assert said.count('Did you mean') < 2  # Python 3.13 says it too


def test_settings_that_change_nothing_are_warned_of(
        tool: Callable[..., None], config: Path, work: Path, capfd: pytest.CaptureFixture,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, 'train', lambda self: None)
    tool('train', config, '--work-dir', work, '--cfg-options', 'env_cfg.cudnn_benchmrk=1',
         'pipeline.1.scale=9', 'model.head.num_classes=5', 'data_preprocessor.num_classes=5')
    log = ''.join(capfd.readouterr())
    assert "has no 'cudnn_benchmrk' there" in log
    assert "Did you mean 'cudnn_benchmark'?" in log
    assert "pipeline.1.scale has no effect where the config file itself uses 'pipeline'" in log
    assert 'have 2 classes, but the model has another number: ' in log


@pytest.mark.parametrize(('gpu', 'value', 'expected'), [
    (False, 'bfloat16', 'AutocastOptimWrapper'), (True, 'bfloat16', 'AutocastOptimWrapper'),
    (True, 'float16', 'AmpOptimWrapper')])
def test_amp(gpu: bool, value: str, expected: str, config: Path,
             monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a config that has another type."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda: True)
    cfg = Config.fromfile(config)
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1)
    set_amp(cfg, value)
    wrapper = cfg.optim_wrapper
    assert wrapper.type.removeprefix('vit_plugin.') == expected
    assert (wrapper.get('dtype'), wrapper.get('loss_scale')) == (
        ('float16', 'dynamic') if value == 'float16' else (None, None))


def test_amp_that_the_device_cannot(stopped: Run, config: Path, work: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    options = ('train', config, '--work-dir', work, '--amp')
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert 'needs a GPU, and torch finds none: --amp bfloat16' in stopped(*options, 'float16')
    assert "invalid choice: 'float8'" in stopped(*options, 'float8', status=2)
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda: False)
    monkeypatch.setattr('torch.cuda.get_device_name', lambda: 'A GPU')
    assert 'A GPU does not compute in bfloat16: --amp float16' in stopped(*options)


@pytest.mark.parametrize('arguments', [
    ('--cfg-options', 'lr'), ('--cfg-options', 'a=[1,2'), ('--launcher', 'pytorch'),
    ('--launcher', 'slurm'), ('--launcher', 'mpi')])
def test_usage(arguments: tuple[str, ...], stopped: Run, config: Path,
               monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    said = stopped('train', config, *arguments, status=2)
    expected = 'tools/dist_train.sh' if '--launcher' in arguments else 'takes KEY=VALUE'
    assert expected in said


def test_other_usage(stopped: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert '--out must end in .pkl' in stopped('test', config, 'a.pth', '--out', 'a.txt', status=2)
    monkeypatch.setenv('SLURM_PROCID', '0')
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert 'needs a GPU' in stopped('train', config, '--launcher', 'slurm', status=2)
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    for name in ('RANK', 'LOCAL_RANK'):
        monkeypatch.setenv(name, '1')
    said = stopped('train', config, '--launcher', 'pytorch', '--work-dir', config.parent)
    assert 'more processes than GPUs: process 1 on this machine finds 1' in said


def test_paths(stopped: Run, config: Path, work: Path) -> None:
    folder = 'configs/classification'
    said = stopped('train', f'{folder}/swin-tiny_8xb128_in1.py')
    assert f"Did you mean '{folder}/swin-tiny_8xb128_in1k.py' or" in said
    said = stopped('test', 'swin-tiny_8xb128_in1', 'a.pth')
    assert "Did you mean 'swin-tiny_8xb128_in1k' or" in said
    assert "work dir '" in stopped('train', config, '--work-dir', config / 'sub')
    (config.parent / 'epoch_12.pth').touch()
    said = stopped('train', config, '--work-dir', work, '--resume', config.parent / 'epoch_1.pth')
    assert re.search(r"no checkpoint '.*epoch_1\.pth'. Did you mean 'epoch_12\.pth'", said)
    config.write_text('model = [1\n')
    said = stopped('train', config)
    assert re.search(r"first_hour\.py', or .*cannot be read \(SyntaxError: .*line 1", said)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_work_dir_without_permission(stopped: Run, config: Path, work: Path) -> None:
    work.mkdir(mode=0o500)
    assert 'Permission denied' in stopped('train', config, '--work-dir', work)


def test_toolkits(stopped: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('vit_plugin.configs.find_spec', lambda name: None)
    monkeypatch.setattr('vit_plugin.toolkits.is_installed', lambda name: name == 'onedl-mmengine')
    said = stopped('train', config)
    assert 'needs mmpretrain, which is not installed' in said
    assert "pip install 'vit-plugin[mmpretrain]'" in said
    said = messages.explain(ImportError("No module named 'mmcv._ext'"))
    assert '`vit-plugin doctor`' in said


def test_checkpoints_of_other_models(stopped: Run, config: Path, work: Path) -> None:
    weights = build(Config.fromfile(config)).state_dict()
    checkpoint = config.parent / 'weights.pth'
    torch.save(weights, checkpoint)
    options = ('--work-dir', work)
    said = stopped('train', config, *options, '--resume', checkpoint)
    assert 'holds weights alone' in said
    said = stopped('test', config, checkpoint, *options,
                   '--cfg-options', 'model.head.num_classes=5', 'data_preprocessor.num_classes=5')
    assert re.search(r"weights\.pth' is of another model.*\n.*head.*\[2, 8\].*\[5, 8\]", said)
    said = stopped('test', config, checkpoint, *options, '--cfg-options',
                   'model.backbone.arch.embed_dims=16', 'model.head.in_channels=16')
    assert re.search(r"is of another model.*\n.*\(1, 5, 8\) cannot become \(1, 5, 16\)", said)
    del weights['head.layers.head.bias']
    torch.save(weights, checkpoint)
    said = stopped('test', config, checkpoint, *options)
    assert 'head.layers.head.bias is missing' in said
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    assert 'is truncated or damaged' in stopped('test', config, checkpoint, *options)


def test_more_classes_than_outputs(stopped: Run, config: Path, work: Path,
                                   image_folder: Path) -> None:
    shutil.copytree(image_folder, config.parent / 'three')
    shutil.copytree(image_folder / 'dark', config.parent / 'three/night')
    said = stopped('train', config, '--work-dir', work, '--data-root', config.parent / 'three')
    assert re.search(r'have 3 classes.* head 2.*--cfg-options .*model\.head\.num_classes=3', said)


def test_splits_with_other_classes(stopped: Run, config: Path, work: Path,
                                   image_folder: Path) -> None:
    shutil.copytree(image_folder, config.parent / 'val')
    (config.parent / 'val/light').rename(config.parent / 'val/bright')
    said = stopped('train', config, '--work-dir', work, '--cfg-options',
                   f'val_dataloader.dataset.data_root={config.parent}/val')
    assert "only in train ['light'], only in val ['bright']" in said


def test_error_in_a_worker(stopped: Run, config: Path, work: Path, image_folder: Path) -> None:
    shutil.copytree(image_folder, config.parent / 'corrupt')
    (config.parent / 'corrupt/dark/1.png').write_bytes(b'no image')
    said = stopped('train', config, '--work-dir', work, '--cfg-options',
                   'train_dataloader.num_workers=1',
                   f'train_dataloader.dataset.data_root={config.parent}/corrupt')
    assert re.search(r"^Error: cannot decode the image '.*/corrupt/dark/1\.png'", said.strip())
    assert len(said.strip().splitlines()) == 1  # what the plugin itself says needs no traceback
    assert not (work / 'traceback.txt').exists()


def full_disk() -> None:
    with open('/dev/full', 'wb', buffering=0) as file:
        file.write(b'0')


def too_large() -> None:
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


@pytest.mark.parametrize(('cause', 'message'), [
    (lambda: torch.empty(1 << 50), 'out of memory.*batch_size=N.*--amp.*with_cp=True'),
    (full_disk, 'the disk is full'), (too_large, 'ulimit -f'),
    (lambda: torch.save(torch.zeros(10**5), '/dev/full'), 'the disk is full'),
    (Path('/absent/a.json').read_text, "there is no '/absent/a.json'.*--data-root"),
    ((ROOT / 'Makefile/a').read_text, "Makefile/a' cannot be read or written"),
    (lambda: torch.nn.BatchNorm2d(3)(torch.zeros(1, 3, 1, 1)), 'batch_size=2 or more')],
    ids=['memory', 'disk', 'file size', "torch's disk", 'absent', 'no folder', 'one image'])
def test_errors_of_libraries(cause: Callable[[], object], message: str) -> None:
    with pytest.raises((RuntimeError, ValueError, OSError)) as caught:
        cause()
    assert re.search(message, messages.explain(caught.value)), caught.value


def test_unknown_errors_and_debug_keep_the_traceback(
        tool: Callable[..., None], stopped: Run, config: Path, work: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="'lrr'"):
        tool('train', config, '--work-dir', work, '--debug', '--cfg-options',
             'optim_wrapper.optimizer.lrr=1')
    # a mistake in the plugin's own code is none of the user's
    monkeypatch.setattr('vit_plugin.backbones.heads.DeiTHead.pre_logits', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tool('train', config, '--work-dir', work)


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Tests that run in the background of a shell inherit that Ctrl-C is ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures('_interruptible')
def test_ctrl_c_says_how_to_go_on(stopped: Run, config: Path, work: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at = [1]

    def interrupt(hook: LoggerHook, runner: Runner, *_: object, **__: object) -> None:
        if runner.iter >= interrupt_at[0]:
            signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(LoggerHook, 'after_train_iter', interrupt)
    said = stopped('train', config, '--work-dir', work, status=130)
    assert 'Stopped by Ctrl-C. There is no checkpoint yet' in said
    interrupt_at[0] = 3
    said = stopped('train', config, '--work-dir', work, status=130)
    assert f"The last checkpoint is '{work}/epoch_1.pth': the same command with --resume" in said


def test_as_a_user_sees_it() -> None:
    done = subprocess.run(
        [sys.executable, 'tools/convert_checkpoint.py', 'absent.pth', 'new.pth'], cwd=ROOT,
        capture_output=True, text=True)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    # torch 2.4 warns before it when mmengine is imported
    assert done.stderr.splitlines()[-1] == ("Error: there is no checkpoint 'absent.pth'. "
                                            '(--debug shows the traceback.)')
