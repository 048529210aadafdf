"""SIGTERM, Ctrl-C while libraries are imported, and errors that torchrun must not repeat."""
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from tests.conftest import ROOT
from tests.forked import Popen
from tests.training.test_resume import ITERATIONS, MIDDLE, assert_equal, config  # noqa: F401
from vit_plugin.cli.stopping import StopHook

AT = 6  # of 16 iterations, in the middle of an epoch, and between steps of 3 iterations
VALIDATION = """
val_dataloader = dict(
    batch_size=4, num_workers=1, persistent_workers=False, sampler=dict(type='DefaultSampler'),
    dataset=dict(_delete_=True, type='vit_plugin.ImageFolder', data_root='{folder}',
                 pipeline=[dict(type='vit_plugin.LoadImage'), dict(type='Resize', scale=32),
                           dict(type='PackInputs')]))
val_evaluator = dict(type='Accuracy', topk=1)
val_cfg = dict()
default_hooks = dict(checkpoint=dict(interval=4))
"""


def terminate(runner: Runner) -> None:
    """As Slurm: from outside to all processes of the job, also those that load data."""
    if runner.iter == AT:
        subprocess.run(['sh', '-c', f'kill -s TERM -- -{os.getpgrp()}'], check=False)
        time.sleep(0.3)  # torch would notice within it that a worker is gone


def terminate_in_training() -> None:
    os.setsid()
    LoggerHook.after_train_iter = lambda hook, runner, *_, **__: terminate(runner)


def terminate_in_validation() -> None:
    global AT
    os.setsid()
    AT = 8
    LoggerHook.after_val_iter = lambda hook, runner, *_, **__: terminate(runner)


@pytest.mark.parametrize(('workers', 'more', 'before', 'stopped_at'), [
    (2, MIDDLE + 'optim_wrapper = dict(accumulative_counts=3)\n', terminate_in_training, AT + 1),
    (1, ITERATIONS, terminate_in_training, AT + 1),
    (0, VALIDATION, terminate_in_validation, 8)], ids=['epochs', 'iterations', 'validation'])
def test_resumed_after_sigterm(
        config: Callable[..., Path], tool: Callable[..., None], tmp_path: Path,  # noqa: F811
        image_folder: Path, workers: int, more: str, before: Callable[[], None],
        stopped_at: int) -> None:
    """Ends with its status, no process left, and goes on as if nothing had happened."""
    path = config('run', workers, more.replace('{folder}', str(image_folder)))
    tool('train', path, '--work-dir', tmp_path / 'whole')
    work, log = tmp_path / 'stopped', tmp_path / 'output.log'
    with log.open('w') as output:
        process = Popen([sys.executable, '-m', 'vit_plugin', 'train', str(path), '--work-dir',
                         str(work)], stdout=output, before=before)
    assert process.wait(240) == 143, log.read_text()[-3000:]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.process.pid, 0)
    saved = work / f'iter_{stopped_at}.pth'
    assert f"The last checkpoint is '{saved}'" in log.read_text()
    assert (work / 'last_checkpoint').read_text() == str(saved)
    tool('train', path, '--work-dir', work, '--resume')
    last, = (path.name for path in (tmp_path / 'whole').glob('*.pth')
             if torch.load(path, weights_only=False)['meta']['iter'] == 16
             and not path.name.startswith('best'))
    assert_equal(tmp_path / 'whole' / last, work / last)


def test_sigterm_before_training() -> None:
    hook = StopHook()
    with pytest.raises(SystemExit) as stop:
        hook.request(signal.SIGTERM, None)
    assert stop.value.code == 143


def test_all_processes_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another one was told to end."""
    hook = StopHook()
    assert not hook.anyone_requested()
    monkeypatch.setattr('vit_plugin.cli.stopping.all_reduce', lambda value, op: value.fill_(1))
    assert hook.anyone_requested()


def test_ctrl_c_while_libraries_are_imported(tmp_path: Path) -> None:
    (tmp_path / 'torch.py').write_text('import signal; signal.raise_signal(signal.SIGINT)')
    code = ('import runpy, signal, sys; signal.signal(2, signal.default_int_handler);'
            f"sys.path.insert(0, '{tmp_path}'); runpy.run_path('tools/train.py', None, '__main__')")
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.strip() == 'Stopped by Ctrl-C.'


@pytest.mark.parametrize('options', [['--cfg-options', 'model.type=Absent'], ['--launcher', 'no']])
def test_errors_of_users_are_not_repeated(options: list[str], tmp_path: Path) -> None:
    """By torchrun: the first process that fails ends it."""
    name = 'deit-small_8xb128_in1k'
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', name, '1', '--work-dir', str(tmp_path), '--resume',
         *options], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, 'MAX_RESTARTS': '3', 'PYTHON': sys.executable, 'PORT': '0'})
    assert done.returncode == 1
    message = 'invalid choice' if '--launcher' in options else "Error: the config asks for type='A"
    assert done.stderr.count(message) == 1
