"""What train.py and test.py check before the first iteration."""
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from messages import did_you_mean
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.optim import Optimizer

from vit_plugin.checkpoints import CheckpointError
from vit_plugin.checks.classes import check_folder_names, classes_of
from vit_plugin.hooks import LabelCheckHook

TOOLKITS = ('mmpretrain', 'mmdet', 'mmseg')
# What mmengine reads at the top of a config.
SETTINGS = {*inspect.signature(Runner.__init__).parameters, 'runner_type', 'model_wrapper_cfg',
            'sync_bn', 'find_unused_parameters', 'activation_checkpointing',
            'efficient_conv_bn_eval', 'compile', 'strategy', 'tta_model', 'tta_pipeline'}
# The modules of a model whose ``num_classes`` is the number of the data's classes.
HEADS = re.compile(r'(^|\.)((bbox_|mask_|decode_|auxiliary_)?head(\.\d+)?|data_preprocessor)$')


def check_toolkit(scope: str | None) -> None:
    """Stop if the config's toolkit is not installed; raise its own error if it does not import."""
    if scope in TOOLKITS:
        if find_spec(scope) is None:
            sys.exit(f"Error: the config needs {scope}, which is not installed. Install it, e.g. "
                     f"pip install 'vit-plugin[{scope}]' (the maintained distribution) or "
                     "'vit-plugin[openmmlab]' (the original one). `python -m vit_plugin.doctor` "
                     'shows what is installed.')
        import_module(scope)


def check_work_dir(work_dir: str) -> None:
    """Stop if nothing can be written there."""
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=work_dir) as file:
            file.write(b'0' * 4096)
    except OSError as error:
        sys.exit(f"Error: nothing can be written to the work dir '{work_dir}' ({error.strerror}). "
                 'Choose another one with --work-dir.')


def check_options(cfg: Config, options: dict[str, Any]) -> list[str]:
    """What is odd about the keys of --cfg-options; mmengine makes new settings without a word.

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
                sys.exit(f"Error: --cfg-options {option}: there is no setting '{top}'{near}")
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
    """What settings that belong together say against each other."""
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
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    for i, step in enumerate(dataset.get('pipeline') or []):
        crop = step.get('crop_size')
        if isinstance(size, Sequence) and isinstance(crop, Sequence) and [*crop] != [*size]:
            notes.append(f'train_dataloader.dataset.pipeline.{i}.crop_size={tuple(crop)}, but '
                         f'model.data_preprocessor.size={tuple(size)} pads to that: set both.')
    return notes


def check_warmup(runner: Runner) -> None:
    """Warn if training ends before its warm-up does."""
    if not isinstance(runner, Runner):
        return
    schedulers = runner.cfg.get('param_scheduler') or []
    for i, scheduler in enumerate(schedulers if isinstance(schedulers, list) else [schedulers]):
        if scheduler.get('type') == 'LinearLR' and not scheduler.get('by_epoch', True) \
                and scheduler.get('end', 0) > runner.max_iters:
            runner.logger.warning(
                f'the whole training has {runner.max_iters} iterations, and the learning rate '
                f'rises for {scheduler.end} of them: it stays too low. Shorten the warm-up: '
                f'--cfg-options param_scheduler.{i}.end=N')


def check_data(runner: Runner, *splits: str) -> None:
    """Stop if the data have other classes than the model, or are less than a batch."""
    if not isinstance(runner, Runner):
        return  # mmengine's FlexibleRunner has no model before training
    if runner.cfg.get('default_scope') == 'mmseg' \
            and not any(isinstance(hook, LabelCheckHook) for hook in runner.hooks):
        runner.register_hook(LabelCheckHook())
    for split in splits:
        loader = getattr(getattr(runner, f'{split}_loop'), 'dataloader', None)
        if loader is not None:
            check_classes(runner, split, loader.dataset)
    if splits[0] == 'train' and isinstance(runner.train_loop, EpochBasedTrainLoop) \
            and not len(runner.train_dataloader):
        loader = runner.train_dataloader
        sys.exit(f'Error: the training data have {len(loader.dataset)} images, fewer than a batch '
                 f'({loader.batch_sampler.batch_size} per process), and drop_last=True drops a '
                 'smaller one, so that there is nothing to train on. Take a smaller batch: '
                 '--cfg-options train_dataloader.batch_size=N.')


def check_classes(runner: Runner, split: str, dataset: Any) -> None:
    """Stop if a head has fewer outputs than the data have classes, or the splits' classes differ.

    More outputs than classes only get a warning: pretrained heads may have them.
    """
    check_folder_names(dataset)
    classes = classes_of(dataset)
    if split == 'val':
        trained = classes_of(runner.train_dataloader.dataset)
        if classes and trained and classes != trained:
            only = {'train': set(trained) - set(classes), 'val': set(classes) - set(trained)}
            sys.exit('Error: training and validation data have different classes, so that their '
                     f'labels mean different things: only in train {sorted(only["train"])[:10]}, '
                     f'only in val {sorted(only["val"])[:10]}, or in another order. Give both the '
                     'same, in the same order.')
    heads = {name.removeprefix('module.'): module.num_classes
             for name, module in runner.model.named_modules()
             if HEADS.search(name)
             and (getattr(module, 'num_classes', None) or 1) > 1  # 1: class-agnostic, or depth
             and getattr(module, 'to_onehot', True)}  # else a preprocessor does not use it
    wrong = {name: count for name, count in heads.items() if classes and count != len(classes)}
    if wrong:
        counts = ', '.join(f'{name} {count}' for name, count in wrong.items())
        options = ' '.join(f'{"" if name == "data_preprocessor" else "model."}{name}.num_classes='
                           f'{len(classes)}' for name in wrong)
        message = (f'the data of {split}_dataloader have {len(classes)} classes, but the model has '
                   f'another number: {counts}. To set it: --cfg-options {options}')
        mixed = 'data_preprocessor' in heads and len(set(heads.values())) > 1
        if min(wrong.values()) < len(classes) or mixed:
            sys.exit(f'Error: {message}')
        runner.logger.warning(message)


class CheckWeightsHook(Hook):
    """Stops if a checkpoint lacks weights of the model, or has them in other shapes.

    mmengine warns, and goes on with random ones: right for fine-tuning, not for testing and
    resuming.
    """

    priority = 'VERY_LOW'

    def __init__(self, path: str) -> None:
        self.path = path

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load the weights as mmengine does next, and look at what is missing."""
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        weights = {name.removeprefix('module.'): value
                   for name, value in checkpoint.get('state_dict', checkpoint).items()}
        try:
            missing = set(model.load_state_dict(weights, strict=False).missing_keys)
        except RuntimeError as error:
            wrong = re.findall(r'size mismatch for (.+)', str(error))
            if not wrong:
                raise
        except CheckpointError as error:
            wrong = [str(error)]
        else:
            wrong = [f'{name} is missing' for name, _ in model.named_parameters()
                     if name in missing]
        check_optimizer(runner, checkpoint)
        if wrong:
            sys.exit(f"Error: the checkpoint '{self.path}' is of another model than the config:\n  "
                     + '\n  '.join(shorten(wrong))
                     + '\nUse the config that it was trained with, with the same options.')


def check_optimizer(runner: Runner, checkpoint: dict) -> None:
    """Stop if a run would be resumed with another kind of optimizer."""
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    groups = checkpoint.get('optimizer', {}).get('param_groups')
    if not groups or not isinstance(optimizer, Optimizer):  # a config, or none, in a test
        return
    lacking = [key for key in ('momentum', 'betas', 'alpha')
               if key in optimizer.defaults and key not in groups[0]]
    if lacking:
        sys.exit("Error: the checkpoint is of a training with another optimizer: the config's "
                 f'{type(optimizer).__name__} has {lacking[0]}, and that one had not. Resume with '
                 'the optimizer that it was trained with, or start from its weights alone: '
                 '--cfg-options load_from=CHECKPOINT')


def shorten(lines: Iterable[str], count: int = 5) -> list[str]:
    """The first lines, and how many there are."""
    lines = list(lines)
    return lines[:count] + ([f'... ({len(lines)} in all)'] if len(lines) > count else [])
