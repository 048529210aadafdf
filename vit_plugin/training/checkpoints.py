"""Checkpoints that survive being killed while one is written."""
import re
from inspect import signature
from pathlib import Path

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.files import is_whole_archive, written_whole
from vit_plugin.registry import HOOKS
from vit_plugin.toolkits import unwrap


class AtomicBackend(LocalBackend):
    """mmengine's local files, written beside their place and moved there when complete."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        with written_whole(filepath) as file:
            file.write(obj)


register_backend('vit_plugin.atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, but a kill at any moment leaves a usable checkpoint.

    mmengine 0.10 writes in place, and deletes the outdated checkpoint before it writes the new
    one. Here a file appears when it is complete, and outdated ones go afterwards.

    It also keeps the gradients that no step has used yet, where a checkpoint falls between
    accumulated iterations, and gives them back on resume; mmengine loses them.

    Args:
        **kwargs: Those of mmengine's, except ``backend_args`` and ``file_client_args``:
            checkpoints are local files.

    Raises:
        UserError: mmengine's has no such argument.
    """

    max_keep_ckpts: int
    best_ckpt_path: str | None

    def __init__(self, **kwargs: object) -> None:
        # mmengine's takes everything, and fails when it has to save the first checkpoint
        unknown = kwargs.keys() - {*signature(CheckpointHook).parameters,
                                   *signature(Runner.save_checkpoint).parameters}
        if unknown:
            raise UserError(f'AtomicCheckpointHook has no argument {sorted(unknown)}; it has those '
                            f'of CheckpointHook: {[*signature(CheckpointHook).parameters]}')
        super().__init__(backend_args=dict(backend='vit_plugin.atomic'), **kwargs)
        if self.filename_tmpl.format(0) == self.filename_tmpl.format(1):
            self.max_keep_ckpts = -1  # one file, which is written again: it is never outdated
        self.gradients: dict[str, Tensor] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the checkpoint's pending gradients until training begins."""
        self.gradients = checkpoint.get('pending_gradients', {})

    def before_train(self, runner: Runner) -> None:
        """Give the pending gradients back to the model, if the run is resumed."""
        super().before_train(runner)
        if self.gradients and runner.iter > 0:
            parameters = dict(unwrap(runner.model).named_parameters())
            for name, gradient in self.gradients.items():
                parameters[name].grad = gradient.to(parameters[name])
            runner.logger.info('The gradients that were accumulated before the checkpoint are '
                               'restored; none are lost.')
        self.gradients = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the pending gradients."""
        if self.gradients:
            checkpoint['pending_gradients'] = self.gradients

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        # Without a limit, mmengine's method deletes nothing.
        limit, self.max_keep_ckpts = self.max_keep_ckpts, -1
        outdated: list[int] = []
        if limit > 0:
            kept = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
            outdated, kept = kept[:-limit], kept[-limit:]
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept)
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        self.gradients = pending_gradients(runner.model) if self.save_optimizer else {}
        super()._save_checkpoint_with_step(runner, step, meta)
        self.gradients = {}
        self.max_keep_ckpts = limit
        if is_main_process():
            for old in outdated:
                Path(self.out_dir, self.filename_tmpl.format(old)).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # mmengine's method deletes the best one that it knows before it writes another
        best, self.best_ckpt_path = getattr(self, 'best_ckpt_path', None), None
        super()._save_best_checkpoint(runner, metrics)
        if self.best_ckpt_path is None:
            self.best_ckpt_path = best
        elif best not in (None, self.best_ckpt_path) and is_main_process() \
                and Path(best).resolve().parent == Path(self.best_ckpt_path).resolve().parent:
            Path(best).unlink(missing_ok=True)


def pending_gradients(model: nn.Module) -> dict[str, Tensor]:
    """The gradients that no optimizer step has used yet, averaged over the processes.

    Between accumulated iterations DDP leaves each process its own; it would average their sums at
    the step, so each can go on from the average.
    """
    parameters = dict(unwrap(model).named_parameters())
    device = next(iter(parameters.values())).device
    pending = torch.tensor([p.grad is not None for p in parameters.values()],
                           dtype=torch.uint8, device=device)
    all_reduce(pending, 'max')
    gradients = {}
    for (name, parameter), is_pending in zip(parameters.items(), pending.tolist()):
        if is_pending:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            gradients[name] = own.detach().clone()
            all_reduce(gradients[name], 'mean')
            gradients[name] = gradients[name].cpu()
    return gradients


def find_checkpoint(work_dir: Path) -> tuple[Path | None, list[Path]]:
    """The last whole checkpoint of a run, and the later ones that are damaged.

    ``last_checkpoint`` names the last one. The work dir may have been renamed or copied since, so
    a file of that name in it comes first, and the path itself (CheckpointHook's ``out_dir`` may
    lie elsewhere) only without one. Without either, those with the highest numbers.
    """
    last = read_pointer(work_dir / 'last_checkpoint')
    candidates = numbered(work_dir, last)
    if last:
        here = work_dir / Path(last).name
        candidates = [here if here.is_file() else Path(last), *candidates,
                      Path(last), *numbered(Path(last).parent, last)]
    damaged: list[Path] = []
    for path in candidates:
        if path.is_file() and not any(map(path.samefile, damaged)):
            if is_whole_archive(path):
                return path, damaged
            damaged.append(path)
    return None, damaged


def read_pointer(pointer: Path) -> str:
    """The path in a file ``last_checkpoint``; empty without one, and where it holds none."""
    if not pointer.is_file():
        return ''
    last = pointer.read_bytes().decode(errors='replace').strip()
    is_path = last.isprintable() and all(len(part) < 256 for part in Path(last).parts)
    return last if is_path else ''


def numbered(folder: Path, example: str) -> list[Path]:
    """The checkpoints in a folder, from the highest number on.

    They are called ``epoch_*.pth``, ``iter_*.pth``, or like the example but for the numbers.
    """
    def order(path: Path) -> tuple[list[int], int]:
        return [*map(int, re.findall(r'\d+', path.name))], path.stat().st_mtime_ns

    like = re.sub(r'\d+', r'\\d+', re.escape(Path(example).name))
    names = re.compile(rf'(epoch|iter)_\d+\.pth|{like}')
    return sorted((path for path in folder.glob('*')
                   if names.fullmatch(path.name) and path.is_file()), key=order, reverse=True)
