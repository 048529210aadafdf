"""The checks as a hook, for any toolkit's own scripts."""
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner, find_latest_checkpoint

from vit_plugin.checkpoints.runner import read_as_data
from vit_plugin.registry import HOOKS

from .classes import compare_classes
from .data import check_data
from .settings import check_settings, check_warmup
from .weights import check_weights


@HOOKS.register_module()
class CheckHook(Hook):
    """Checks config, data and checkpoint before the first iteration.

    Wrong are: other classes in the data than in the model, in validation than in training or in a
    checkpoint; a checkpoint of another model or optimizer, where a run is resumed or tested; and
    less data than a batch. What is odd gets a warning. Checkpoints are read as data, never as code.

    Put it into ``default_hooks``, whose order does not matter:
    ``default_hooks = dict(check=dict(type='vit_plugin.CheckHook'))``.

    Args:
        trust_checkpoint: Run the code that the checkpoint of ``load_from`` or ``resume`` may bring.

    Raises:
        ValueError: something is wrong; see above.
    """

    priority = 'VERY_LOW'  # others bring a loaded checkpoint into its form first

    def __init__(self, trust_checkpoint: bool = False) -> None:
        self.trust_checkpoint = trust_checkpoint
        self.is_checked = False

    def check(self, runner: Runner, stage: str) -> None:
        """Check all but the checkpoint, once; ``stage`` is ``'train'``, ``'val'`` or ``'test'``.

        mmengine's FlexibleRunner has no model before training, so nothing can be checked there.
        """
        if self.is_checked or not isinstance(runner, Runner):
            return
        self.is_checked = True
        if stage == 'train':
            for note in check_settings(runner.cfg):
                runner.logger.warning(note)
            check_data(runner, 'train', 'val')
            check_warmup(runner)
        else:
            check_data(runner, stage)

    def before_run(self, runner: Runner) -> None:
        """Check, and exchange mmengine's readers; it loads weights after this."""
        trusted = None
        if self.trust_checkpoint:
            trusted = runner.cfg.get('load_from') or find_latest_checkpoint(runner.work_dir)
        read_as_data(trusted)
        if isinstance(runner, Runner):
            self.check(runner, stage_of(runner))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the checkpoint, before mmengine copies its weights."""
        if not isinstance(runner, Runner):
            return
        stage = stage_of(runner)
        goes_on = stage != 'train' or bool(runner.cfg.get('resume'))
        dataset = getattr(runner, f'{stage}_dataloader').dataset
        compare_classes(runner, checkpoint, dataset, goes_on)
        if goes_on:
            check_weights(runner, checkpoint)


def stage_of(runner: Runner) -> str:
    """``'train'``, ``'val'`` or ``'test'``: the runner builds an optimizer for training alone."""
    if isinstance(runner.optim_wrapper, OptimWrapper):
        return 'train'
    return 'test' if isinstance(runner._test_loop, BaseLoop) else 'val'
