"""Two nodes of two processes each, on this machine: one training, also when a process is killed.

torchrun's agents run as tools/dist_train.sh starts them, but fork their workers from this process,
which saves the workers' imports.
"""
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import mmpretrain  # noqa: F401, which is trained with
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args
from torch.utils.data import Sampler

from tests.cli.test_train_and_test import classification
from tests.conftest import ROOT, free_port
from tests.data.test_packed import shards  # noqa: F401 (a fixture)
from vit_plugin.cli.launch import agree_on_checkpoint
from vit_plugin.data.packed import ShardSampler, TarImages
from vit_plugin.registry import DATA_SAMPLERS, HOOKS

if torch.cuda.is_available():
    pytest.skip('forks, and needs as many GPUs as processes', allow_module_level=True)

NODES = PROCESSES = 2
RANKS = NODES * PROCESSES
SEED = 3
CONFIG = """
_base_ = '{root}/configs/classification/deit-base_8xb128_in1k.py'
arch = dict(_delete_=True, embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
model = dict(backbone=dict(arch=arch, img_size=32, patch_size=8, drop_path_rate=0.),
             head=dict(num_classes=2, in_channels=16), train_cfg=None)
data_preprocessor = dict(num_classes=2)
train_pipeline = _base_.train_pipeline
train_pipeline[0]['scale'] = 32
train_dataloader = dict(
    batch_size={batch_size}, num_workers=0, persistent_workers=False,
    sampler=dict(sampler=dict(_delete_=True, type='{sampler}')),
    dataset=dict(dataset=dict(_delete_=True, pipeline=train_pipeline, {data})))
val_dataloader = val_evaluator = val_cfg = test_dataloader = test_evaluator = test_cfg = None
train_cfg = dict(max_epochs=3)
optim_wrapper = dict(optimizer=dict(lr=0.1))
param_scheduler = []
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=-1, save_best=None))
find_unused_parameters = True  # keeps DDP from reordering what it sums, once in each start
randomness = dict(seed={seed})
"""


@HOOKS.register_module()
class KillOnce(Hook):
    """Ends its own process as the system does, in the middle of the second epoch."""

    def __init__(self, marker: str) -> None:
        self.marker = Path(marker)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        if runner.rank == RANKS - 1 and runner.iter == 3 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@DATA_SAMPLERS.register_module()
class OrderOfRanks(Sampler):
    """One process draws what several draw with ``ShardSampler``, batch by batch."""

    def __init__(self, dataset: object, seed: int) -> None:
        self.seed, self.ranks = seed, []
        for rank in range(RANKS):
            sampler = ShardSampler(dataset, seed)
            sampler.rank, sampler.world_size, sampler.size = rank, RANKS, sampler.size // RANKS
            self.ranks.append(sampler)

    def __iter__(self) -> Iterator[int]:
        return (index for batch in zip(*self.ranks) for index in batch)

    def __len__(self) -> int:
        return sum(map(len, self.ranks))

    def set_epoch(self, epoch: int) -> None:
        for sampler in self.ranks:
            sampler.set_epoch(epoch)


def write_config(path: Path, data: str, sampler: str, batch_size: int = 1, more: str = '') -> Path:
    path.write_text(CONFIG.format(root=ROOT, data=data, sampler=sampler, batch_size=batch_size,
                                  seed=SEED) + more)
    return path


def worker(opened: Path, script: str, *arguments: str) -> None:
    """tools/train.py, noting the shards that it opens; of gloo no thread is left."""
    def note(event: str, details: tuple) -> None:
        if event == 'open' and str(details[0]).endswith('.tar'):
            with open(opened / os.environ['RANK'], 'a') as file:
                file.write(f'{details[0]}\n')
    opened.mkdir(exist_ok=True)
    sys.addaudithook(note)
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        if end.code:
            raise
    threads = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]
    assert not [name for name in threads if 'gloo' in name], threads


def node(command: list[str], work: Path, rank: int) -> None:
    """torchrun's agent of one node, in a process group of its own."""
    os.setsid()
    log = os.open(f'{work}.node{rank}.log', os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    arguments = parse_args(command)
    config, _, _ = config_from_args(arguments)
    config.start_method = 'fork'
    elastic_launch(config, worker)(Path(f'{work}.opened'), arguments.training_script,
                                   *arguments.training_script_args)


def command_of(arguments: list[str], rank: int, folder: Path) -> list[str]:
    """What tools/dist_train.sh runs on a node; its environment goes into this process's."""
    stub = folder / 'python'
    stub.write_text('#!/bin/sh\n'
                    'echo "${TORCH_DISABLE_SHARE_RDZV_TCP_STORE:-0}"; printf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    shared, *command = subprocess.run(
        ['bash', 'tools/dist_train.sh', *arguments], cwd=ROOT, check=True, text=True,
        capture_output=True, env={**os.environ, 'PYTHON': str(stub), 'NODE_RANK': str(rank)}
    ).stdout.splitlines()
    os.environ['TORCH_DISABLE_SHARE_RDZV_TCP_STORE'] = shared
    assert command[:2] == ['-m', 'torch.distributed.run']
    return command[2:]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict]:
    """``train(config, work)`` trains on both nodes; the last checkpoint."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('TORCH_DISABLE_SHARE_RDZV_TCP_STORE', '0')
    for name, value in dict(NNODES=NODES, MASTER_ADDR='127.0.0.1', PORT=free_port(),
                            PET_LOCAL_ADDR='127.0.0.1').items():
        monkeypatch.setenv(name, str(value))

    def run(config: Path, work: Path, *options: str) -> dict:
        arguments = [str(config), str(PROCESSES), '--work-dir', str(work), *options]
        nodes: list[BaseProcess] = []
        try:
            for rank in range(NODES):
                command = command_of(arguments, rank, tmp_path)
                nodes.append(get_context('fork').Process(target=node, args=(command, work, rank)))
                nodes[-1].start()
            for rank, process in enumerate(nodes):
                process.join(300)
                assert process.exitcode == 0, Path(f'{work}.node{rank}.log').read_text()[-5000:]
        finally:
            for process in nodes:
                if process.is_alive():
                    os.killpg(process.pid, signal.SIGKILL)
        return torch.load(work / 'iter_6.pth', weights_only=False)
    return run


def assert_close(one: dict, other: dict, tolerance: float) -> None:
    for part in ('state_dict', 'ema_state_dict'):
        for name, value in one[part].items():
            torch.testing.assert_close(value, other[part][name], rtol=tolerance, atol=tolerance)


def test_folder_on_two_nodes_is_one_process(train: Callable[..., dict], tool: Callable[..., None],
                                            image_folder: Path, tmp_path: Path) -> None:
    data = f"type='vit_plugin.ImageFolder', data_root='{image_folder}'"
    one = write_config(tmp_path / 'one.py', data, 'DefaultSampler', RANKS)
    tool('train', one, '--work-dir', tmp_path / 'one')
    found = train(write_config(tmp_path / 'nodes.py', data, 'DefaultSampler'), tmp_path / 'nodes')
    assert_close(found, torch.load(tmp_path / 'one/iter_6.pth', weights_only=False), 1e-4)


def test_killed_process_on_two_nodes(train: Callable[..., dict], tool: Callable[..., None],
                                     shards: Path, tmp_path: Path,  # noqa: F811
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards: as one process with the same batches; bitwise the same when a process was killed."""
    dataset = TarImages('images-*.tar', str(shards))  # writes the index
    data = f"type='vit_plugin.TarImages', data_root='{shards}', shards='images-*.tar'"
    whole = train(write_config(tmp_path / 'whole.py', data, 'vit_plugin.ShardSampler'),
                  tmp_path / 'whole')
    one = write_config(tmp_path / 'one.py', data, 'vit_plugin.OrderOfRanks', RANKS)
    tool('train', one, '--work-dir', tmp_path / 'one')
    assert_close(whole, torch.load(tmp_path / 'one/iter_6.pth', weights_only=False), 1e-4)
    order = OrderOfRanks(dataset, SEED)
    for rank, sampler in enumerate(order.ranks):
        own = set()
        for epoch in range(3):
            sampler.set_epoch(epoch)
            own |= {dataset.get_data_info(index)['path'] for index in sampler}
        assert set((tmp_path / f'whole.opened/{rank}').read_text().split()) == own

    monkeypatch.setenv('MAX_RESTARTS', '1')
    hook = f"dict(type='vit_plugin.KillOnce', marker='{tmp_path}/kill')"
    killed = train(write_config(tmp_path / 'killed.py', data, 'vit_plugin.ShardSampler', 1,
                                f'custom_hooks = [*_base_.custom_hooks, {hook}]'),
                   tmp_path / 'killed', '--resume')
    assert (tmp_path / 'kill').is_file()
    assert_close(killed, whole, 0.)
    for key, state in whole['optimizer']['state'].items():
        assert all(torch.equal(value, killed['optimizer']['state'][key][name])
                   for name, value in state.items())


def test_restarts_that_would_lose_something(tool: Callable[..., None], image_folder: Path,
                                            tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                            ) -> None:
    config = tmp_path / 'restarted.py'
    config.write_text(classification('DeiT', image_folder))
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '1')
    for options in ((), ('--resume', tmp_path / 'iter_2.pth')):
        with pytest.raises(SystemExit, match='would begin from the start: add --resume'):
            tool('train', config, '--work-dir', tmp_path, *options)
    monkeypatch.setenv('TORCHELASTIC_USE_AGENT_STORE', 'True')
    with pytest.raises(SystemExit, match=r'would wait for the dead ones: .*MAX_RESTARTS=N'):
        tool('train', config, '--work-dir', tmp_path, '--resume')


def test_work_dir_that_one_machine_does_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                ) -> None:
    torch.save({}, tmp_path / 'iter_2.pth')
    assert agree_on_checkpoint(tmp_path) == (tmp_path / 'iter_2.pth', [])
    monkeypatch.setattr('vit_plugin.cli.launch.all_gather_object', lambda sees: [sees, False])
    with pytest.raises(ValueError, match=r'processes \[1\] do not see .*iter_2.pth'):
        agree_on_checkpoint(tmp_path)
