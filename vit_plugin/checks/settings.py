"""Settings that have no effect, or speak against each other."""
import inspect
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from vit_plugin.errors import UserError, did_you_mean

# What mmengine reads at the top of a config.
SETTINGS = {*inspect.signature(Runner.__init__).parameters, 'runner_type', 'model_wrapper_cfg',
            'sync_bn', 'find_unused_parameters', 'activation_checkpointing',
            'efficient_conv_bn_eval', 'compile', 'strategy', 'tta_model', 'tta_pipeline'}


def check_options(cfg: Config, options: dict[str, Any]) -> list[str]:
    """Notes on the keys of --cfg-options that are odd; mmengine adds new settings silently.

    Stops at one that nothing reads, and that comes close to one that is read.
    """
    notes = []
    for option in options:
        top, *rest = option.split('.')
        if top not in SETTINGS and top in cfg:
            notes.append(f"--cfg-options {option} has no effect where the config file itself uses "
                         f"'{top}', since the file has been read: set what was made of it.")
        elif top not in SETTINGS:
            near = did_you_mean(top, SETTINGS)
            if near:
                raise UserError(f"--cfg-options {option}: there is no setting '{top}'{near}")
            notes.append(f"--cfg-options {option}: the config has no '{top}', and mmengine reads "
                         'no such setting.')
        else:
            notes += new_setting(cfg.get(top), option, rest)
    return notes


def new_setting(part: Any, option: str, rest: list[str]) -> list[str]:
    """Say so if a key below the top level is not in the config."""
    for key in rest:
        if isinstance(part, (list, tuple)) and key.isdigit() and int(key) < len(part):
            part = part[int(key)]
        elif isinstance(part, dict) and key in part:
            part = part[key]
        elif isinstance(part, dict):
            near = did_you_mean(key, map(str, part)) or '.'
            return [f"--cfg-options {option}: the config has no '{key}' there, so that a new "
                    f'setting is made{near}']
        else:
            break
    return []


def check_settings(cfg: Config) -> list[str]:
    """Notes on settings that contradict each other."""
    notes = []
    model = cfg.get('model') or {}
    backbone = model.get('backbone') or {}
    frozen = backbone.get('frozen_stages')
    weights = (backbone.get('init_cfg') or model.get('init_cfg') or model.get('pretrained')
               or cfg.get('load_from'))
    if isinstance(frozen, int) and frozen >= 0 and not weights:
        notes.append(f'model.backbone.frozen_stages={frozen} freezes random weights, since neither '
                     'model.backbone.init_cfg nor load_from names others: set it to -1.')
    size = (model.get('data_preprocessor') or {}).get('size')
    place, dataset = 'dataset', (cfg.get('train_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset:  # a wrapper
        place, dataset = f'{place}.dataset', dataset['dataset']
    for i, step in enumerate(dataset.get('pipeline') or []):
        crop = step.get('crop_size')
        if isinstance(size, Sequence) and isinstance(crop, Sequence) and [*crop] != [*size]:
            notes.append(f'train_dataloader.{place}.pipeline.{i}.crop_size={tuple(crop)}, but '
                         f'model.data_preprocessor.size={tuple(size)} pads to that: set both.')
    return notes


def check_warmup(runner: Runner) -> None:
    """Warn if training ends before its warm-up does."""
    schedulers = runner.cfg.get('param_scheduler') or []
    for i, scheduler in enumerate(schedulers if isinstance(schedulers, list) else [schedulers]):
        if scheduler.get('type') == 'LinearLR' and not scheduler.get('by_epoch', True) \
                and scheduler.get('end', 0) > runner.max_iters:
            runner.logger.warning(
                f'the whole training has {runner.max_iters} iterations, and the learning rate '
                f'rises for {scheduler.end} of them: it stays too low. Shorten the warm-up: '
                f'--cfg-options param_scheduler.{i}.end=N')
