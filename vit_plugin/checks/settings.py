"""Settings that have no effect, speak against each other, or name what does not exist."""
import logging
from collections.abc import Sequence

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import OPTIMIZERS

from vit_plugin.registry import missing_type

from .findings import Finding


def check_settings(cfg: Config) -> list[Finding]:
    """All checks of a config that need neither model nor data."""
    return [*check_optimizer(cfg), *check_frozen(cfg), *check_crop(cfg)]


def check_optimizer(cfg: Config) -> list[Finding]:
    """Error where the optimizer does not exist, or its mixed precision needs another device."""
    wrapper = cfg.get('optim_wrapper') or {}
    name = (wrapper.get('optimizer') or {}).get('type')
    findings = []
    if isinstance(name, str):
        with OPTIMIZERS.switch_scope_and_registry(None) as registry:
            if registry.get(name) is None:  # mmengine does not look at it
                findings.append(Finding(missing_type(name, None, 'optimizer')))
    if wrapper.get('type') == 'AmpOptimWrapper' and get_device() == 'cpu':
        findings.append(Finding(
            'the config trains in mixed precision on a GPU (optim_wrapper.type=AmpOptimWrapper), '
            'and torch finds none. Add --amp, which takes bfloat16 without a GPU as well'))
    return findings


def check_frozen(cfg: Config) -> list[Finding]:
    """Warning where layers are frozen that have random weights."""
    model = cfg.get('model') or {}
    backbone = model.get('backbone') or {}
    frozen = backbone.get('frozen_stages')
    setting, place, advice = f'frozen_stages={frozen}', 'model.backbone', 'set it to -1'
    if backbone.get('type') == 'vit_plugin.LoRA':
        backbone, frozen = backbone.get('backbone') or {}, 0
        setting, place, advice = 'vit_plugin.LoRA', 'model.backbone.backbone', 'train without it'
    weights = (backbone.get('init_cfg') or model.get('init_cfg') or model.get('pretrained')
               or cfg.get('load_from'))
    if not isinstance(frozen, int) or frozen < 0 or weights:
        return []
    return [Finding(
        f'model.backbone: {setting} freezes random weights, since neither {place}.init_cfg nor '
        f'load_from names others: {advice}.', logging.WARNING)]


def check_crop(cfg: Config) -> list[Finding]:
    """Warning where images are cropped to one size and padded to another."""
    size = ((cfg.get('model') or {}).get('data_preprocessor') or {}).get('size')
    place, dataset = 'dataset', (cfg.get('train_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset:  # a wrapper
        place, dataset = f'{place}.dataset', dataset['dataset']
    findings = []
    for i, step in enumerate(dataset.get('pipeline') or []):
        crop = step.get('crop_size')
        if isinstance(size, Sequence) and isinstance(crop, Sequence) and [*crop] != [*size]:
            findings.append(Finding(
                f'train_dataloader.{place}.pipeline.{i}.crop_size={tuple(crop)}, but '
                f'model.data_preprocessor.size={tuple(size)} pads to that: set both.',
                logging.WARNING))
    return findings


def check_schedule(cfg: Config, max_epochs: int, max_iters: int) -> list[Finding]:
    """Compare the schedules of the learning rate with the length of the training.

    An error where one ends before it begins, a warning where the training ends in the warm-up.
    """
    schedulers = cfg.get('param_scheduler') or []
    if not isinstance(schedulers, list):
        schedulers = [schedulers]
    findings = []
    for i, scheduler in enumerate(schedulers):
        by_epoch = scheduler.get('by_epoch', True)
        length = max_epochs if by_epoch else max_iters
        begin, end = scheduler.get('begin', 0), scheduler.get('end', length)
        if end <= begin:
            findings.append(Finding(
                f'the training has {length} {"epochs" if by_epoch else "iterations"}, and is not '
                f'longer than its warm-up: param_scheduler.{i} begins at {begin} and ends at '
                f'{end}. Shorten the warm-up as well: --cfg-options param_scheduler.0.end=1 '
                'param_scheduler.1.begin=1, for a training of 2 or more'))
        elif scheduler.get('type') == 'LinearLR' and not by_epoch and end > max_iters:
            findings.append(Finding(
                f'the whole training has {max_iters} iterations, and the learning rate rises for '
                f'{end} of them: it stays too low. Shorten the warm-up: --cfg-options '
                f'param_scheduler.{i}.end=N', logging.WARNING))
    return findings
