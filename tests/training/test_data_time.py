"""The share of waiting is logged, and what to change is said once."""
import logging
import math
import re
import shutil
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from vit_plugin.training.data_time import DataTimeHook, shared_memory, tensor_bytes, worker_seconds


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x: Tensor, mode: str) -> dict[str, Tensor]:
        return dict(loss=self.layer(x).sum())


def test_share_is_logged(tmp_path: Path) -> None:
    runner = Runner(
        Model(), str(tmp_path), experiment_name=tmp_path.name,
        train_dataloader=dict(dataset=[dict(x=torch.ones(1))] * 12, num_workers=0, batch_size=1,
                              sampler=dict(type='DefaultSampler', shuffle=False),
                              collate_fn=dict(type='default_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='vit_plugin.DataTimeHook')])
    runner.train()
    assert 'data_share: ' in next(tmp_path.glob('*/*.log')).read_text()


@pytest.mark.parametrize(('waited', 'message'), [
    (0.3, r'30% of the training time is spent waiting for data: set '
          r'train_dataloader.num_workers=\d+, the cores of this machine'), (0.1, None)])
def test_advice_is_given_once(waited: float, message: str | None, tmp_path: Path,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr('vit_plugin.training.data_time.print_log',
                        lambda text, logger, level: said.append((text, level)))
    hub = MessageHub.get_instance(tmp_path.name)
    runner = SimpleNamespace(message_hub=hub, cfg=Config(),
                             train_dataloader=SimpleNamespace(num_workers=0))
    hook = DataTimeHook(iterations=6, skipped=2)
    for i in range(20):
        hub.update_scalar('train/time', 1.)
        hub.update_scalar('train/data_time', 1. if i < 2 else waited)  # while workers start
        hook.after_train_iter(runner, i, dict(x=torch.ones(1)))
        assert hub.get_scalar('train/data_share').current() == (1. if i < 2 else waited)
        assert len(said) == (message is not None and i >= 7)
    for text, level in said:
        assert level == logging.WARNING
        assert re.search(message, text)


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
    context = get_context('fork')
    has_worked = context.Event()
    before = worker_seconds()
    process = context.Process(target=work, args=(has_worked,))
    process.start()
    has_worked.wait()
    assert worker_seconds() >= before + 0.1
    process.kill()
    process.join()


def work(has_worked: Event) -> None:
    """Take 0.15 seconds by this process's own clock, and wait."""
    start = time.process_time()
    while time.process_time() < start + 0.15:
        pass
    has_worked.set()
    time.sleep(600)
