"""A hook that measures how long training waits for its data, and says what helps."""
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from multiprocessing import active_children
from pathlib import Path

import torch
from mmengine.dist import get_local_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from vit_plugin.registry import HOOKS

PREFETCHED = 2  # batches of each worker that wait in shared memory: torch's default


@HOOKS.register_module()
class DataTimeHook(Hook):
    """Logs the share of each iteration that is spent waiting for data, as ``data_share``.

    If it is high over the first iterations of a run, says once which setting to change. Needs
    mmengine's ``IterTimerHook``, which measures.

    Args:
        threshold: A share above this is high.
        iterations: How many iterations are looked at.
        skipped: How many are left out before them, while the workers start.
    """

    priority = 55  # between IterTimerHook and LoggerHook

    def __init__(self, threshold: float = 0.2, iterations: int = 100, skipped: int = 20) -> None:
        self.threshold = threshold
        self.iterations = iterations
        self.skipped = skipped
        self.seen = 0
        self.waited = self.total = 0.
        self.start = (0., 0.)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                         outputs: object = None) -> None:
        """Log the share; after ``iterations`` of them, judge."""
        waited, total = (runner.message_hub.get_scalar(f'train/{name}').current()
                         for name in ('data_time', 'time'))
        runner.message_hub.update_scalar('train/data_share', waited / total)
        self.seen += 1
        if self.seen == self.skipped:
            self.start = time.time(), worker_seconds()
        elif self.skipped < self.seen <= self.skipped + self.iterations:
            self.waited += waited
            self.total += total
            if self.seen == self.skipped + self.iterations:
                self.judge(runner, tensor_bytes(data_batch))

    def judge(self, runner: Runner, batch_bytes: int) -> None:
        """Say what to change if the share is high."""
        share = self.waited / self.total
        if share <= self.threshold:
            return
        busy = (worker_seconds() - self.start[1]) / (time.time() - self.start[0])
        print_log(f'{share:.0%} of the training time is spent waiting for data: '
                  f'{self.advise(runner, busy, batch_bytes, shared_memory())}', 'current',
                  logging.WARNING)

    def advise(self, runner: Runner, busy: float, batch_bytes: int, shared_bytes: float) -> str:
        """The setting to change.

        Args:
            runner: The run.
            busy: How many cores the workers of this process keep busy.
            batch_bytes: Size of a batch, which workers hand over in shared memory.
            shared_bytes: Size of the machine's shared memory.
        """
        workers = runner.train_dataloader.num_workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
        free = max(1, (cores or 1) // get_local_size())
        threads = runner.cfg.get('env_cfg', {}).get('mp_cfg', {}).get('opencv_num_threads', 0)
        if workers and threads > 1:
            return (f'each worker lets OpenCV take {threads} threads; set '
                    'env_cfg.mp_cfg.opencv_num_threads=0')
        if workers and busy < workers / 2 and busy < free / 2:
            return (f'the {workers} workers of this process keep only {busy:.1f} cores busy, so '
                    'they wait for the disk or the network; put the data on a local disk or in '
                    'memory, or in fewer and larger files')
        needed = get_local_size() * free * PREFETCHED * batch_bytes
        if workers < free and needed > shared_bytes:
            return (f'{free} workers, one for each core of this process, need {needed / 2**30:.1f} '
                    f'GiB of shared memory (/dev/shm) for their batches, and it has '
                    f'{shared_bytes / 2**30:.1f}; enlarge it (docker run --shm-size='
                    f'{math.ceil(needed / 2**30)}g, or --ipc=host), then set '
                    f'train_dataloader.num_workers={free}; it is {workers}')
        if workers < free:
            return (f'set train_dataloader.num_workers={free}, the cores of this machine for each '
                    f'process; it is {workers}')
        return (f'the {workers} workers of this process keep its {free} cores busy; use transforms '
                'that do less (vit_plugin.LoadRandomResizedCrop, vit_plugin.RandAugment), store '
                'smaller images, or take a machine with more cores')


def tensor_bytes(batch: object) -> int:
    """Size of the tensors in a batch, which may be nested."""
    if isinstance(batch, torch.Tensor):
        return batch.nbytes
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        return 0  # of what is no tensor, such as the samples' annotations
    return sum(map(tensor_bytes, parts))


def shared_memory() -> float:
    """Size in bytes of the shared memory where workers leave batches; infinite if unknown."""
    try:
        stat = os.statvfs('/dev/shm')
    except (OSError, AttributeError):  # another system than Linux
        return math.inf
    return stat.f_blocks * stat.f_frsize


def worker_seconds() -> float:
    """The CPU time that the workers of this process have taken; NaN where /proc does not tell."""
    try:
        stats = [Path(f'/proc/{child.pid}/stat').read_text() for child in active_children()]
    except OSError:
        return float('nan')
    # User and system time are the fields 14 and 15; the second one is a name in brackets.
    fields = [stat.rpartition(')')[2].split() for stat in stats]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf('SC_CLK_TCK')
