"""The checks as a hook, for any toolkit's own scripts."""
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from vit_plugin.checkpoints.runner import read_as_data
from vit_plugin.checks.classes import compare_classes
from vit_plugin.registry import HOOKS


@HOOKS.register_module()
class CheckHook(Hook):
    """Lets a run read its checkpoints as data, never as code, and compares their classes.

    Args:
        trust_checkpoint: Run the code that the checkpoint of ``load_from`` or ``resume`` may bring.
    """

    def __init__(self, trust_checkpoint: bool = False) -> None:
        self.trust_checkpoint = trust_checkpoint

    def before_run(self, runner: Runner) -> None:
        """Exchange mmengine's readers; it loads weights after this."""
        trusted = None
        if self.trust_checkpoint:
            trusted = runner.cfg.get('load_from') or find_latest_checkpoint(runner.work_dir)
        read_as_data(trusted)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the classes that the checkpoint was trained on with those of the data."""
        if isinstance(runner, Runner):  # mmengine's FlexibleRunner has other parts
            compare_classes(runner, checkpoint)
