"""Train with a config of mmpretrain, mmdet or mmseg.

Usage: vit-plugin train CONFIG [--work-dir DIR] [--resume [CHECKPOINT]] [--amp [TYPE]] ...
"""
import argparse
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from vit_plugin.checkpoints import CheckpointError
from vit_plugin.checks.environment import check_precision, check_restarts
from vit_plugin.checks.findings import raise_errors
from vit_plugin.checks.weights import check_checkpoint_file
from vit_plugin.configs import load_config
from vit_plugin.errors import UserError
from vit_plugin.training.checkpoints import find_checkpoint

from .arguments import make_parser, parse
from .launch import (
    agree_on_checkpoint,
    build_runner,
    check_hook,
    former_config,
    join_processes,
    leave_processes,
    locked,
)
from .messages import explained
from .stopping import STATUS, StoppedError, stop_on_sigterm


def parse_args() -> argparse.Namespace:
    parser = make_parser('Train with a config of mmpretrain, mmdet or mmseg.')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from a checkpoint, without a value from the last whole one')
    parser.add_argument('--amp', nargs='?', const='bfloat16', choices=('bfloat16', 'float16'),
                        help='mixed precision; bfloat16 without a value')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate in training')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate from auto_scale_lr's batch size to that of "
                             'all processes and accumulated iterations')
    return parse(parser)


def main() -> int:
    args = parse_args()
    status = 0
    with explained(args, lambda: how_to_resume(args.work_dir)):
        try:
            train(args)
        except StoppedError as stopped:
            if os.environ.get('RANK', '0') == '0':
                print(stopped, file=sys.stderr)
            status = STATUS
        leave_processes()
    return status


def train(args: argparse.Namespace) -> None:
    """Build a run from the command's arguments, and train.

    Raises:
        StoppedError: the run was told to end, and saved.
    """
    cfg, notes = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
    args.work_dir = cfg.work_dir  # where `explained` leaves a traceback
    cfg.launcher = args.launcher
    raise_errors(check_restarts(args.resume))
    join_processes(cfg)
    with locked(cfg.work_dir):
        run(cfg, notes, args)


def run(cfg: Config, notes: list[str], args: argparse.Namespace) -> None:
    """Set what the command's options say, build the runner, and train."""
    if cfg.get('optim_wrapper') is None:
        raise UserError('the config has no optim_wrapper, without which nothing is trained')
    if args.amp:
        set_amp(cfg, args.amp)
    if args.resume:
        notes += set_resume(cfg, args.resume)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        set_auto_scale_lr(cfg)
    if not torch.cuda.is_available():
        notes.append('torch finds no GPU: training on the CPU, slow for full-size models.')
    with former_config(cfg):
        runner = build_runner(cfg, notes, args.trust_checkpoint)
        check_hook(runner).check(runner, 'train')  # the hook's own time is after the optimizer's
    count_accumulated(runner)
    if isinstance(runner, Runner):
        stop_on_sigterm(runner)
    try:
        runner.train()
    except CheckpointError as error:
        if args.debug or not cfg.get('load_from') or cfg.load_from in str(error):
            raise
        raise UserError(f"cannot load load_from='{cfg.load_from}': {error}") from error


def set_amp(cfg: Config, dtype: str) -> None:
    """Set an optimizer wrapper for mixed precision.

    Raises:
        UserError: the device does not compute in this type.
    """
    raise_errors(check_precision(dtype))
    wrapper = cfg.optim_wrapper
    if dtype == 'float16':
        if wrapper.get('dtype') == 'bfloat16':  # whose losses are not scaled
            wrapper.pop('loss_scale', None)
        wrapper.update(type='AmpOptimWrapper', dtype='float16')
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        wrapper.type = 'vit_plugin.AutocastOptimWrapper'
        for key in ('loss_scale', 'dtype'):
            wrapper.pop(key, None)


def set_resume(cfg: Config, checkpoint: str) -> list[str]:
    """Let the run go on from a checkpoint (``'auto'``: the newest whole one), and say what is odd.
    """
    notes = []
    if checkpoint == 'auto':
        found, damaged = agree_on_checkpoint(cfg.work_dir)
        notes += [f"The checkpoint '{path}' is truncated or damaged: passed over."
                  for path in damaged]
        if found is None:
            return [*notes, f"There is no checkpoint in '{cfg.work_dir}': training starts."]
        checkpoint = str(found)
    raise_errors(check_checkpoint_file(checkpoint))
    cfg.resume, cfg.load_from = True, checkpoint
    return notes


def how_to_resume(work_dir: str | None) -> str:
    """The message after Ctrl-C: the command that goes on."""
    found = find_checkpoint(Path(work_dir))[0] if work_dir else None
    if found is None:
        return 'There is no checkpoint yet: the same command starts again.'
    return f"The last checkpoint is '{found}': the same command with --resume goes on from it."


def set_auto_scale_lr(cfg: Config) -> None:
    """Let the learning rate follow the batch size."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the '
                        'config.')
    cfg.auto_scale_lr.enable = True


def count_accumulated(runner: Runner) -> None:
    """Let a learning rate that follows the batch size count all images of a step.

    mmengine 0.10 leaves accumulation out. The config stays as it is, for later runs from it.
    """
    strategy = getattr(runner, 'strategy', None)  # of a FlexibleRunner
    owner, name = (strategy, '_auto_scale_lr') if strategy else (runner, 'auto_scale_lr')
    auto = getattr(owner, name)
    counts = runner.cfg.optim_wrapper.get('accumulative_counts', 1)
    if auto and auto.get('enable') and counts > 1:
        setattr(owner, name, dict(auto, base_batch_size=auto['base_batch_size'] / counts))
