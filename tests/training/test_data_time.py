"""The share of waiting is logged, and what to change is said once."""
import logging
import math
import re
import shutil
import time
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from vit_plugin.training.data_time import DataTimeHook, shared_memory, tensor_bytes, worker_seconds


class Slow(Dataset):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __getitem__(self, i: int) -> Tensor:
        time.sleep(self.seconds)
        return dict(x=torch.ones(1))

    def __len__(self) -> int:
        return 12


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x: Tensor, mode: str) -> dict[str, Tensor]:
        time.sleep(0.02)
        return dict(loss=self.layer(x).sum())


def train(seconds: float, workers: int, work_dir: Path) -> Runner:
    runner = Runner(
        Model(), str(work_dir), experiment_name=work_dir.name,
        train_dataloader=dict(dataset=Slow(seconds), num_workers=workers, batch_size=1,
                              sampler=dict(type='DefaultSampler', shuffle=False),
                              collate_fn=dict(type='default_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='vit_plugin.DataTimeHook', iterations=6, skipped=2)])
    runner.train()
    return runner


@pytest.mark.parametrize(('seconds', 'workers', 'message'), [
    (0.06, 0, r'of the training time is spent waiting for data: set '
              r'train_dataloader.num_workers=\d+, the cores of this machine'),
    (0.2, 1, 'so they wait for the disk or the network'), (0., 0, None)])
def test_advice_is_given_once(seconds: float, workers: int, message: str | None, tmp_path: Path,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr('vit_plugin.training.data_time.print_log',
                        lambda text, logger, level: said.append((text, level)))
    runner = train(seconds, workers, tmp_path)
    share = runner.message_hub.get_scalar('train/data_share').mean()
    if message is None:
        assert share < 0.5
    else:
        assert share > 0.5
        [(text, level)] = said
        assert level == logging.WARNING
        assert re.search(message, text)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'data_share: ' in log


@pytest.mark.parametrize(('workers', 'threads', 'busy', 'advice'), [
    (0, 0, 0., r'set train_dataloader.num_workers=4, .* it is 0'),
    (2, 0, 1.9, r'set train_dataloader.num_workers=4, .* it is 2'),
    (2, 4, 1.9, r'lets OpenCV take 4 threads; set env_cfg.mp_cfg.opencv_num_threads=0'),
    (4, 0, 0.6, r'the 4 workers of this process keep only 0.6 cores busy'),
    (4, 0, float('nan'), r'the 4 workers of this process keep its 4 cores busy; use transforms'),
    (4, 0, 3.7, r'keep its 4 cores busy; use transforms that do less'),
    (16, 0, 3.9, r'keep its 4 cores busy; use transforms that do less')])
def test_advice(workers: int, threads: int, busy: float, advice: str,
                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('os.sched_getaffinity', lambda process: range(8))
    monkeypatch.setattr('vit_plugin.training.data_time.get_local_size', lambda: 2)
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(num_workers=workers),
        cfg=Config(dict(env_cfg=dict(mp_cfg=dict(opencv_num_threads=threads)))))
    # 2 processes x 4 workers x 2 batches of 64 MiB
    text = DataTimeHook().advise(runner, busy, 2**26, 2**30)
    assert re.search(advice, text)
    if workers < 4 and not threads:
        text = DataTimeHook().advise(runner, busy, 2**26, 2**29)
        assert text == (
            '4 workers, one for each core of this process, need 1.0 GiB of shared memory '
            '(/dev/shm) for their batches, and it has 0.5; enlarge it (docker run --shm-size=1g, '
            f'or --ipc=host), then set train_dataloader.num_workers=4; it is {workers}')


def test_sizes() -> None:
    images = [torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(2)]
    assert tensor_bytes(dict(inputs=images, data_samples=['a', object()], scale=1.)) == 48 + 8
    free = shutil.disk_usage('/dev/shm').total if Path('/dev/shm').exists() else math.inf
    assert shared_memory() == free


def test_time_of_workers() -> None:
    assert worker_seconds() >= 0
    before = worker_seconds()
    process = get_context('fork').Process(target=spin)
    process.start()
    deadline = time.time() + 20
    while worker_seconds() < before + 0.05 and time.time() < deadline:
        time.sleep(0.02)
    assert worker_seconds() >= before + 0.05
    process.kill()
    process.join()


def spin() -> None:
    while True:
        pass
