"""Checkpoints that survive being killed while one is written."""
import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from vit_plugin.registry import HOOKS


class AtomicBackend(LocalBackend):
    """mmengine's local files, written beside their place and moved there when complete."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        part = Path(f'{filepath}.part')
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, 'wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, filepath)


register_backend('vit_plugin.atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, but a kill at any moment leaves a usable checkpoint.

    mmengine 0.10 writes in place, and deletes the outdated checkpoint before it writes the new
    one. Here a file appears when it is complete, and outdated ones go afterwards.

    Args:
        **kwargs: Those of mmengine's, except ``backend_args`` and ``file_client_args``:
            checkpoints are local files.
    """

    max_keep_ckpts: int
    best_ckpt_path: str | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(backend_args=dict(backend='vit_plugin.atomic'), **kwargs)

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
        super()._save_checkpoint_with_step(runner, step, meta)
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
        elif best not in (None, self.best_ckpt_path) and is_main_process():
            Path(best).unlink(missing_ok=True)
