"""A hook that stops a run whose loss or weights are NaN."""
import json
import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import torch
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from vit_plugin.errors import UserError, shorten
from vit_plugin.files import written_whole
from vit_plugin.registry import HOOKS

ADVICE = ('A lower learning rate, a longer warm-up, clipped gradients (optim_wrapper.clip_grad) or '
          'bfloat16 in place of float16 may help; images and labels of that batch are worth a look')


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a run whose loss is NaN or infinite for some iterations in a row, or whose weights are.

    A single such loss is no error: mixed precision in float16 leaves out its step. Weights are
    looked at before a checkpoint is written and at the end. The names of the files of the first
    batch of the row, and its losses, are then written to ``not_finite_iterN.json`` in the work dir.

    Args:
        iterations: How many losses in a row.

    Raises:
        UserError: in a run, with the iteration.
    """

    priority = 'VERY_HIGH'  # before what writes checkpoints

    def __init__(self, iterations: int = 10) -> None:
        if iterations < 1:
            raise UserError(f'iterations={iterations} of FiniteLossHook must be positive')
        self.iterations = iterations
        self.count = 0
        self.first: dict = {}

    def before_train(self, runner: Runner) -> None:
        """Note weights that are broken from the start: nothing may use them."""
        self.broken = broken_parameters(runner.model)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                         outputs: dict | None = None) -> None:
        """Count losses that are not finite."""
        losses = {name: value for name, value in (outputs or {}).items() if 'loss' in name}
        values = {name: torch.as_tensor(value).item() for name, value in losses.items()}
        if math.isfinite(values.get('loss', 0.)):
            self.count = 0
            return
        if self.count == 0:
            found = {name: str(value) for name, value in values.items()}
            self.first = dict(iteration=runner.iter + 1, losses=found, files=files_of(data_batch))
        self.count += 1
        if self.count >= self.iterations:
            self.stop(runner, f'the loss is NaN or infinite for {self.count} iterations in a row')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Let no checkpoint be written of weights that are NaN."""
        self.check_weights(runner)

    def after_train(self, runner: Runner) -> None:
        """Let no run end well with them."""
        self.check_weights(runner)

    def check_weights(self, runner: Runner) -> None:
        """Raise `UserError` if training has made weights NaN or infinite."""
        broken = broken_parameters(runner.model) - self.broken
        if broken:
            self.stop(runner, f'weights are NaN or infinite: {shorten(sorted(broken), 3)}')

    def stop(self, runner: Runner, reason: str) -> None:
        """Write what is known of the first batch that was wrong, and raise `UserError`."""
        if not self.count:
            raise UserError(f'{reason}, after iteration {runner.iter}. {ADVICE}')
        iteration = self.first['iteration']
        rank, processes = get_dist_info()
        suffix = f'_rank{rank}' if processes > 1 else ''
        path = Path(runner.work_dir, f'not_finite_iter{iteration}{suffix}.json')
        with written_whole(path) as file:
            file.write(json.dumps(self.first, indent=1).encode())
        values = ', '.join(f'{name}={value}' for name, value in self.first['losses'].items())
        raise UserError(f'{reason}, since iteration {iteration} ({values}), whose files are named '
                        f'in {path}. {ADVICE}')


def files_of(batch: object) -> list[str]:
    """The names of the images in a batch, which may be nested."""
    if isinstance(batch, BaseDataElement):
        return [str(batch.img_path)] if 'img_path' in batch else []
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if not isinstance(batch, (list, tuple)):
        return []
    return list(chain.from_iterable(map(files_of, batch)))


def broken_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters in training that hold NaN or infinity."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and p.numel()}
    if not trained:
        return set()
    with torch.no_grad():
        finite = torch.stack([p.float().sum() for p in trained.values()]).isfinite().tolist()
    return {name for name, is_finite in zip(trained, finite) if not is_finite}
