"""SIGTERM, which Slurm and Kubernetes send before they kill: save and leave."""
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from types import FrameType

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from vit_plugin.files import written_whole
from vit_plugin.training.checkpoints import pending_gradients
from vit_plugin.training.seeding import start_anew

STATUS = 128 + signal.SIGTERM  # as a shell has it, and as schedulers expect it


class StoppedError(Exception):
    """The training has ended after SIGTERM; the message names the checkpoint."""


class StopHook(Hook):
    """Ends a training after SIGTERM: when its iteration, or validation, is done and saved.

    Before the first iteration the process leaves at once. Several processes agree after each
    iteration, so that all end with the same, whoever was told.
    """

    priority = 'LOWEST'  # other hooks finish the iteration first

    def __init__(self) -> None:
        self.is_requested = self.is_training = False
        self.gradients: dict[str, torch.Tensor] = {}

    def request(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM."""
        self.is_requested = True
        if not self.is_training:
            raise SystemExit(STATUS)

    def before_train(self, runner: Runner) -> None:
        """From now on there is something to save."""
        self.is_training = True

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        """Save and leave; mmengine counts the iteration after this."""
        if self.anyone_requested():
            self.leave(runner, runner.epoch, runner.iter + 1)

    def after_val_epoch(self, runner: Runner, *_: object, **__: object) -> None:
        """Save and leave when averaged weights have been changed back."""
        if self.anyone_requested():
            self.leave(runner, runner.epoch, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """The last checkpoint has been written."""
        self.is_training = False

    def anyone_requested(self) -> bool:
        """True if one of the processes was told to end."""
        requested = torch.tensor(int(self.is_requested))
        all_reduce(requested, 'max')
        return bool(requested)

    def leave(self, runner: Runner, epoch: int, iteration: int) -> None:
        """Save what ``--resume`` goes on from as ``iter_<number>.pth``; raise `StoppedError`."""
        folders = [hook.out_dir for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        folder, name = (folders or [runner.work_dir])[0], f'iter_{iteration}.pth'
        self.gradients = pending_gradients(runner.model)  # all processes compute their mean
        runner.save_checkpoint(folder, name, meta=dict(epoch=epoch, iter=iteration), by_epoch=False,
                               backend_args=dict(backend='vit_plugin.atomic'))
        path = Path(folder, name)
        if is_main_process():
            with written_whole(Path(runner.work_dir, 'last_checkpoint')) as file:
                file.write(str(path).encode())
        raise StoppedError(
            f"Stopped by SIGTERM after iteration {iteration}. The last checkpoint is '{path}': the "
            'same command with --resume goes on from it.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add gradients that no step has used yet, which `AtomicCheckpointHook` gives back."""
        if self.gradients:
            checkpoint['pending_gradients'] = self.gradients


def stop_on_sigterm(runner: Runner) -> None:
    """Let a training end on SIGTERM as `StopHook` says."""
    hook = StopHook()
    runner.register_hook(hook)
    signal.signal(signal.SIGTERM, hook.request)
    if not hasattr(signal, 'sigwaitinfo'):
        return  # macOS, which has neither of the schedulers
    outlive_scheduler(runner.train_dataloader)
    if runner.val_loop is not None:
        outlive_scheduler(runner.val_dataloader)
    start_anew(runner)


def outlive_scheduler(loader: DataLoader) -> None:
    """Let the workers of a data loader go on where a scheduler sends SIGTERM to all processes.

    The iteration could not be finished without them: they end with the process they work for.
    """
    loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)


def start_worker(start: Callable[[int], None] | None, number: int) -> None:
    """Ignore SIGTERM in this worker unless the process that it works for sends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=end_with_parent, daemon=True).start()
    if start is not None:
        start(number)


def end_with_parent() -> None:
    """Wait for SIGTERM of the parent, which ends its workers so, and leave."""
    parent = os.getppid()
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
