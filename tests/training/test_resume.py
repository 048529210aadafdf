"""A run that is killed and resumed ends with the uninterrupted one's weights, bitwise."""
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, needs
from tests.forked import Popen
from vit_plugin.training.checkpoints import AtomicCheckpointHook, pending_gradients

CONFIG = """
_base_ = '{root}/configs/classification/deit-base_8xb128_in1k.py'
arch = dict(_delete_=True, embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
model = dict(backbone=dict(arch=arch, img_size=32, patch_size=8, drop_path_rate=0.5),
             head=dict(num_classes=2, in_channels=16))
data_preprocessor = dict(num_classes=2)
train_pipeline = _base_.train_pipeline
train_pipeline[0]['scale'] = 32
folder = dict(type='vit_plugin.ImageFolder', data_root='{folder}', _delete_=True)
train_dataloader = dict(
    batch_size=2, num_workers={workers}, persistent_workers={workers} > 0,
    dataset=dict(dataset=dict(**folder, pipeline=train_pipeline)))
val_dataloader = None
val_evaluator = None
val_cfg = None
test_dataloader = None
test_evaluator = None
test_cfg = None
train_cfg = dict(max_epochs=4)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=True, end=1,
                        convert_to_iter_based=True),
                   dict(type='CosineAnnealingLR', by_epoch=True, begin=1)]
default_hooks = dict(checkpoint=dict(save_best=None))
randomness = dict(seed=3)
"""


@pytest.fixture
def config(tmp_path: Path, image_folder: Path) -> Callable[..., Path]:
    """Write a config: DeiT-B's recipe (EMA, repeated augmentation, Mixup) for 4 x 4 iterations."""
    needs('mmpretrain')
    def write(name: str = 'run', workers: int = 0, more: str = '') -> Path:
        path = tmp_path / f'{name}.py'
        path.write_text(CONFIG.format(root=ROOT, folder=image_folder, workers=workers) + more)
        return path
    return write


def content(path: Path) -> dict:
    return torch.load(path, weights_only=False)


def assert_equal(one: Path, other: Path) -> None:
    """Weights, EMA and optimizer of two checkpoints are the same, bit by bit."""
    one, other = content(one), content(other)
    assert one['meta']['iter'] == other['meta']['iter'] == 16
    for part in ('state_dict', 'ema_state_dict'):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(value, other[part][key]) for key, value in one[part].items())
    for key, state in one['optimizer']['state'].items():
        assert all(torch.equal(value, other['optimizer']['state'][key][name])
                   for name, value in state.items())


HOOKS = 'default_hooks = dict(checkpoint=dict(save_best=None, max_keep_ckpts=-1{}))\n'
EPOCHS = HOOKS.format('')
MIDDLE = HOOKS.format(', by_epoch=False, interval=5')  # of epochs with 4 iterations
ITERATIONS = MIDDLE + """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=16, val_interval=100)
train_dataloader['sampler'] = dict(sampler=dict(_delete_=True, type='InfiniteSampler'))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False)]
log_processor = dict(by_epoch=False)
"""


@pytest.mark.parametrize(('workers', 'more', 'last', 'earlier'), [
    (0, EPOCHS, 'epoch_4.pth', 'epoch_2.pth'),
    (2, MIDDLE, 'iter_16.pth', 'iter_10.pth'),
    (1, ITERATIONS, 'iter_16.pth', 'iter_10.pth'),
    (0, MIDDLE + 'optim_wrapper = dict(accumulative_counts=3)\n', 'iter_16.pth', 'iter_5.pth'),
], ids=['epoch', 'middle_of_epoch', 'iterations', 'accumulated_gradients'])
def test_resumed_run_equals_uninterrupted(
        config: Callable[..., Path], tool: Callable[..., None], tmp_path: Path, workers: int,
        more: str, last: str, earlier: str) -> None:
    tool('train', config('whole', 0, more), '--work-dir', tmp_path / 'whole')
    # other workers, and a seed that only the checkpoint knows
    resumed = config('resumed', workers, more + 'randomness = dict(seed=None)\n')
    tool('train', resumed, '--work-dir', tmp_path / 'resumed',
         '--resume', tmp_path / 'whole' / earlier)
    assert_equal(tmp_path / 'whole' / last, tmp_path / 'resumed' / last)


def test_pending_gradients_are_averaged_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another process had gradients of 3 in both layers; this one's are 1, in the first."""
    model = torch.nn.ModuleList([torch.nn.Linear(2, 1, bias=False) for _ in range(3)])
    model[0](torch.ones(1, 2)).backward()

    def all_reduce(data: torch.Tensor, op: str) -> None:
        if op == 'max':
            data[:2] = 1
        else:
            assert op == 'mean'
            data.add_(3).div_(2)
    monkeypatch.setattr('vit_plugin.training.checkpoints.all_reduce', all_reduce)
    found = pending_gradients(model)
    assert {name: value.tolist() for name, value in found.items()} == {
        '0.weight': [[2., 2.]], '1.weight': [[1.5, 1.5]]}
    assert model[0].weight.grad.tolist() == [[1., 1.]]
    assert model[1].weight.grad is None


def test_full_disk_leaves_no_part(config: Callable[..., Path], tool: Callable[..., None],
                                  tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr('vit_plugin.files.os.fsync', full)
    with pytest.raises(SystemExit, match='the disk is full'):
        tool('train', config(), '--work-dir', tmp_path / 'full')
    assert not list((tmp_path / 'full').glob('*.p*t*'))


def test_unknown_argument_of_the_checkpoint_hook() -> None:
    # mmengine's dies of it when it has to save the first checkpoint
    with pytest.raises(ValueError, match=r"no argument \['intervall'\]"):
        AtomicCheckpointHook(intervall=2)


def test_one_file_for_all_checkpoints(train: Callable[..., list], tmp_path: Path) -> None:
    """A name without the number: mmengine overwrites the file; it is never outdated."""
    one_file = dict(by_epoch=False, interval=5, filename_tmpl='final.pth')
    train(2, batch=2, **one_file, max_keep_ckpts=1)
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['final.pth']
    assert content(tmp_path / 'run/final.pth')['meta']['iter'] == 16


def test_damaged_checkpoint_is_passed_over(config: Callable[..., Path], tool: Callable[..., None],
                                           tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    # mmengine's own auto-resume dies in torch.load here
    path = config()
    tool('train', path, '--work-dir', tmp_path / 'whole')
    newest, before = tmp_path / 'whole/epoch_4.pth', tmp_path / 'whole/epoch_3.pth'
    expected = tmp_path / 'expected.pth'
    expected.write_bytes(newest.read_bytes())
    newest.write_bytes(newest.read_bytes()[:-1000])
    capfd.readouterr()
    tool('train', path, '--work-dir', tmp_path / 'whole', '--resume')
    log = ''.join(capfd.readouterr())
    assert f"'{newest}' is truncated or damaged" in log
    assert f'resumed epoch: {content(before)["meta"]["epoch"]}' in log
    assert_equal(expected, newest)


def start(path: Path, work: Path, before: Callable[[], None] | None = None) -> Popen:
    """Begin a training."""
    with (path.parent / 'output.log').open('w') as log:
        return Popen([sys.executable, '-m', 'vit_plugin', 'train', str(path), '--work-dir',
                       str(work)], stdout=log, before=before)


def kill_at_third() -> None:
    """Let this process send SIGKILL to itself in the middle of writing the third checkpoint."""
    count = 0
    replace = os.replace

    def replace_or_kill(part: str, path: str) -> None:
        nonlocal count
        count += 1
        if count == 3:
            os.truncate(part, os.path.getsize(part) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        replace(part, path)
    os.replace = replace_or_kill


def test_killed_while_writing(config: Callable[..., Path], tool: Callable[..., None],
                              tmp_path: Path) -> None:
    # mmengine deletes the only checkpoint before it writes the next; here it must still be there
    path = config('killed', 1, 'default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))\n')
    tool('train', path, '--work-dir', tmp_path / 'whole')
    assert start(path, tmp_path / 'killed', kill_at_third).wait(300) == -signal.SIGKILL
    assert [p.name for p in (tmp_path / 'killed').glob('epoch_*.pth')] == ['epoch_2.pth']
    tool('train', path, '--work-dir', tmp_path / 'killed', '--resume')
    assert_equal(tmp_path / 'whole/epoch_4.pth', tmp_path / 'killed/epoch_4.pth')


def test_killed_at_any_moment(config: Callable[..., Path], tool: Callable[..., None],
                              tmp_path: Path) -> None:
    path = config('anytime', 1)
    tool('train', path, '--work-dir', tmp_path / 'whole')
    work = tmp_path / 'anytime'
    process = start(path, work)
    deadline = time.time() + 240
    while not (work / 'epoch_1.pth').exists() and process.poll() is None:
        assert time.time() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    tool('train', path, '--work-dir', work, '--resume')
    assert_equal(tmp_path / 'whole/epoch_4.pth', work / 'epoch_4.pth')


def test_files_that_are_kept(config: Callable[..., Path], tool: Callable[..., None],
                             tmp_path: Path, image_folder: Path) -> None:
    """mmengine's rules hold: the last two, and the one with the best metric."""
    validation = f"""
val_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, sampler=dict(type='DefaultSampler'),
    dataset=dict(_delete_=True, type='vit_plugin.ImageFolder', data_root='{image_folder}',
                 pipeline=[dict(type='vit_plugin.LoadImage'), dict(type='Resize', scale=32),
                           dict(type='PackInputs')]))
val_evaluator = dict(type='Accuracy', topk=1)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(lr=0.))
default_hooks = dict(checkpoint=dict(save_best='accuracy/top1', rule='less', max_keep_ckpts=2))
"""
    tool('train', config('kept', 0, validation), '--work-dir', tmp_path / 'kept')
    assert sorted(path.name for path in (tmp_path / 'kept').glob('*.pth')) == [
        'best_accuracy_top1_epoch_1.pth', 'epoch_3.pth', 'epoch_4.pth']
    assert not list((tmp_path / 'kept').glob('*.part'))
    hub = content(tmp_path / 'kept/epoch_4.pth')['message_hub']['runtime_info']
    assert hub['keep_ckpt_ids'] == [3, 4]
    assert hub['best_ckpt'].endswith('epoch_1.pth')
