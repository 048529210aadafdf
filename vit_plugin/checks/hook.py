"""The checks as hooks, for any toolkit's own scripts."""
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from mmengine.structures import BaseDataElement

from vit_plugin.checkpoints.runner import read_as_data
from vit_plugin.registry import HOOKS

from .classes import classes_of
from .findings import raise_and_log, raise_errors
from .label_maps import check_evaluated_maps, check_label_maps, ignored_labels
from .run import check_config, check_loaded, check_run, data_of, metrics_of, stage_of


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
        UserError: something is wrong; see above.
    """

    priority = 'VERY_LOW'  # others bring a loaded checkpoint into its form first

    def __init__(self, trust_checkpoint: bool = False) -> None:
        self.trust_checkpoint = trust_checkpoint
        self.is_checked = False

    def check(self, runner: Runner, stage: str) -> None:
        """Check all but the checkpoint, once; ``stage`` is ``'train'``, ``'val'`` or ``'test'``.

        mmengine's FlexibleRunner has no model before training, so nothing can be checked there.
        """
        if not self.is_checked and isinstance(runner, Runner):
            self.is_checked = True
            label_maps = not any(isinstance(hook, LabelCheckHook) for hook in runner.hooks)
            raise_and_log(check_config(runner.cfg, stage))
            raise_and_log(check_run(runner, stage, label_maps))

    def before_run(self, runner: Runner) -> None:
        """Check, and exchange mmengine's readers; it loads weights after this."""
        trusted = None
        if self.trust_checkpoint:
            trusted = runner.cfg.get('load_from') or find_latest_checkpoint(runner.work_dir)
        read_as_data(trusted)
        if isinstance(runner, Runner):
            self.check(runner, stage_of(runner))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                       outputs: Sequence[BaseDataElement] | None = None) -> None:
        """Check label maps of mmseg as they are evaluated: looking at all before takes long."""
        self.check_evaluated(runner, 'val', outputs or ())

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: object = None,
                        outputs: Sequence[BaseDataElement] | None = None) -> None:
        """Check label maps of mmseg as they are evaluated."""
        self.check_evaluated(runner, 'test', outputs or ())

    def check_evaluated(self, runner: Runner, split: str,
                        outputs: Sequence[BaseDataElement]) -> None:
        """Raise `UserError` where an evaluated label map has labels that are no class."""
        if runner.cfg.get('default_scope') == 'mmseg':
            dataset = data_of(runner, split)[split]
            ignored = ignored_labels(runner.model, dataset, metrics_of(runner, split))
            raise_errors(check_evaluated_maps(outputs, len(classes_of(dataset)), ignored))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the checkpoint, before mmengine copies its weights."""
        if isinstance(runner, Runner):
            raise_and_log(check_loaded(runner, checkpoint))


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Stops a run of mmseg before its first iteration if all pixels of a data set are ignored.

    Does what `CheckHook` does with label maps (see `check_label_maps`), and in its place.

    Args:
        num_maps: How many label maps are looked at, spread evenly over the data set.
    """

    def __init__(self, num_maps: int = 20) -> None:
        self.num_maps = num_maps

    def before_train(self, runner: Runner) -> None:
        """Look at the data for training and validation."""
        self.check(runner, 'train', 'val')

    def before_test(self, runner: Runner) -> None:
        """Look at the data for the test."""
        self.check(runner, 'test')

    def check(self, runner: Runner, *splits: str) -> None:
        """Look at the data of some splits."""
        for dataset in data_of(runner, *splits).values():
            raise_and_log(check_label_maps(dataset, self.num_maps))
