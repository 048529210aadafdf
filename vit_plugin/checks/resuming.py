"""Settings of a resumed training that the checkpoint's replace: optimizer and schedule."""
import logging
from collections.abc import Mapping, Sequence

from mmengine.optim import _ParamScheduler
from torch.optim import Optimizer

from .findings import Finding

INSTEAD = ("--resume goes on as the training began. For other settings start from its weights: "
           '--cfg-options load_from=CHECKPOINT, without --resume')
# Settings of a group of parameters; a schedule changes the others.
OF_OPTIMIZERS = ('weight_decay', 'betas', 'eps', 'momentum', 'nesterov')
STATE = ('last_step', 'base_values', 'verbose')  # of a scheduler, beside its settings


def check_resumed_optimizer(optimizer: object, checkpoint: dict) -> list[Finding]:
    """Warn of settings of the optimizer that differ from those of the checkpoint, which stay."""
    saved = checkpoint.get('optimizer', {}).get('param_groups')
    if not saved or not isinstance(optimizer, Optimizer):
        return []
    changes: dict[str, tuple[object, object]] = {}
    for new, old in zip(optimizer.param_groups, saved):
        rate = 'initial_lr' if 'initial_lr' in new and 'initial_lr' in old else 'lr'
        for key in (rate, *OF_OPTIMIZERS):
            if key in new and key in old and not is_same(new[key], old[key]):
                changes.setdefault(key.removeprefix('initial_'), (old[key], new[key]))
    return [describe(f'optim_wrapper.optimizer.{key}', *values) for key, values in changes.items()]


def check_resumed_schedule(schedulers: object, checkpoint: dict,
                           lengths: Mapping[bool, int]) -> list[Finding]:
    """Warn where the schedule of the checkpoint stays, or ends before the training.

    Args:
        schedulers: Those that the config makes.
        checkpoint: Content of the file.
        lengths: Length of the training, in epochs for True and iterations for False.
    """
    saved = checkpoint.get('param_schedulers')
    if not isinstance(schedulers, list) or not isinstance(saved, list):
        return []
    findings = []
    for i, (new, old) in enumerate(zip(schedulers, saved)):
        for key, value in settings_of(new).items():
            if key in old and not is_same(value, old[key]):
                findings.append(describe(f'param_scheduler.{i}.{key}', old[key], value))
    is_over = [old.get('end', 0) < lengths[new.by_epoch] for new, old in zip(schedulers, saved)]
    if is_over and all(is_over):
        last = schedulers[-1]
        unit = 'epoch' if last.by_epoch else 'iteration'
        findings.append(Finding(
            f"the checkpoint's schedule ends at {unit} {saved[-1]['end']}, the training at "
            f'{lengths[last.by_epoch]}: the learning rate stays at its last value. {INSTEAD}',
            logging.WARNING))
    return findings


def settings_of(scheduler: _ParamScheduler) -> dict[str, object]:
    """The settings that a scheduler keeps, without its state."""
    return {key: value for key, value in scheduler.state_dict().items()
            if key not in STATE and not key.startswith('_')}


def is_same(one: object, other: object) -> bool:
    """True if two settings are equal; lists and tuples are the same."""
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return list(one) == list(other)
    return bool(one == other)


def describe(setting: str, saved: object, configured: object) -> Finding:
    """Warning that the checkpoint's value of a setting stays."""
    return Finding(f"{setting}={configured!r} of the config has no effect: the checkpoint's "
                   f'{saved!r} stays. {INSTEAD}', logging.WARNING)
