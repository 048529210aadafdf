"""Parts of training and testing: checkpoints, the runner, several processes."""
import errno
import gc
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    init_dist,
    is_main_process,
)
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch import nn

from vit_plugin.checkpoints.runner import read_as_data
from vit_plugin.checks.environment import check_gpus, check_work_dir
from vit_plugin.checks.findings import raise_errors
from vit_plugin.checks.hook import CheckHook
from vit_plugin.distillation.student_config import without_teachers
from vit_plugin.errors import UserError
from vit_plugin.training.checkpoints import find_checkpoint
from vit_plugin.training.finite_loss import FiniteLossHook


def agree_on_checkpoint(work_dir: str) -> tuple[Path | None, list[Path]]:
    """`find_checkpoint` as the first process sees it, so that all go on from the same.

    Raises:
        UserError: another process does not see that checkpoint.
    """
    found: list[tuple[Path | None, list[Path]]] = [(None, [])]
    if is_main_process():
        found = [find_checkpoint(Path(work_dir))]
    broadcast_object_list(found)
    path, damaged = found[0]
    seen = all_gather_object(path is None or path.is_file())
    if not all(seen):
        blind = [rank for rank, sees in enumerate(seen) if not sees]
        raise UserError(f"the processes {blind} do not see the checkpoint '{path}': give all "
                        'machines the same work dir, on a file system that they share')
    return path, damaged


@contextmanager
def locked(work_dir: str) -> Iterator[None]:
    """A work dir that no other training writes to meanwhile.

    The system unlocks it when the process ends, however it ends. File systems without locks, and
    Windows, have none.

    Raises:
        UserError: another training writes to it.
    """
    if os.name != 'posix' or not is_main_process():
        yield
        return
    import fcntl  # which Windows has not
    raise_errors(check_work_dir(work_dir))
    with open(Path(work_dir, '.lock'), 'wb') as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # workers do not inherit it
        except (BlockingIOError, PermissionError):
            raise UserError(f"another training writes to the work dir '{work_dir}': wait for its "
                            'end, or choose another with --work-dir') from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
        yield


class StudentRunner(Runner):
    """Builds a distilled model without its teachers, which evaluation does not need."""

    def build_model(self, model: dict | nn.Module) -> nn.Module:
        if isinstance(model, dict):
            model = without_teachers(model)
        return super().build_model(model)


def build_runner(cfg: Config, notes: Iterable[str] = (), trust: bool = False,
                 kind: type[Runner] = Runner) -> Runner:
    """Build the runner that the config asks for, and write ``notes`` into its log as warnings.

    If it asks for none, it is a ``kind``. Its checkpoints are read as data, unless ``trust`` lets
    that of ``load_from`` run code.
    """
    read_as_data()  # what models load when they are built
    raise_errors(check_work_dir(cfg.work_dir))
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else kind.from_cfg(cfg)
    hook = check_hook(runner)
    hook.trust_checkpoint |= trust  # in no config, so that it is not kept
    if not any(isinstance(hook, FiniteLossHook) for hook in runner.hooks):
        runner.register_hook(FiniteLossHook())
    for note in notes:
        runner.logger.warning(note)
    return runner


def check_hook(runner: Runner) -> CheckHook:
    """The runner's `CheckHook`; it gets one if its config has none."""
    found = [hook for hook in runner.hooks if isinstance(hook, CheckHook)]
    if not found:
        found = [CheckHook()]
        runner.register_hook(found[0])
    return found[0]


@contextmanager
def former_config(cfg: Config, always: bool = False) -> Iterator[None]:
    """Put the config file of an earlier run back, which mmengine's runner replaces.

    After an error, or ``always``.
    """
    path = Path(cfg.work_dir, Path(cfg.filename).name)
    former = path.read_bytes() if is_main_process() and path.is_file() else None
    failed = True
    try:
        yield
        failed = False
    finally:
        if former is not None and (failed or always):
            path.write_bytes(former)


def join_processes(cfg: Config) -> None:
    """Connect the processes that a launcher has started; the runner finds them connected.

    Raises:
        UserError: there are more processes than GPUs on this machine.
    """
    if cfg.launcher == 'none':
        return
    if cfg.launcher == 'pytorch':
        raise_errors(check_gpus(int(os.environ.get('LOCAL_RANK', 0))))
    environment = cfg.get('env_cfg', {})
    set_multi_processing(**environment.get('mp_cfg', {}), distributed=True)  # as the runner's order
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        distribute_on_cpu(cfg)
    elif 'runner_type' not in cfg:  # FlexibleRunner's strategies may have their own way
        init_dist(cfg.launcher, **environment.get('dist_cfg', {}))


def leave_processes() -> None:
    """End what several processes share, once the caller has given up its models.

    gloo's threads end with the last reference to the group. A process that exits before may be
    aborted, where one of them frees a tensor; and where DDP's is the last, which is freed with the
    lock of the interpreter held, both may wait for each other for ever (seen with torch 2.13).
    """
    if torch.distributed.is_initialized():
        gc.collect()  # DDP goes with the runner, which refers to itself
        torch.distributed.destroy_process_group()


def distribute_on_cpu(cfg: Config) -> None:
    """Let processes talk by gloo, and DDP have no device: mmengine 0.10 assumes CUDA in both."""
    torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel', 'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **cfg.get('model_wrapper_cfg', {}), 'device_ids': None}
