"""Train with a config of mmpretrain, mmdet or mmseg.

Usage: python tools/train.py CONFIG [--work-dir DIR] [--resume [CHECKPOINT]] [--amp] ...
"""
import argparse
import sys
from pathlib import Path

import torch
from launch import build_runner, find_checkpoint, load_config, make_parser
from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    parser = make_parser('Train with a config of mmpretrain, mmdet or mmseg.')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from a checkpoint, without a value from the last whole one')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on a GPU, bfloat16 on the CPU')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate in training')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate from auto_scale_lr's batch size to that of "
                             'all processes and accumulated iterations')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        set_amp(cfg)
    damaged: list[Path] = []
    if args.resume:
        found = args.resume
        if found == 'auto':
            found, damaged = find_checkpoint(Path(cfg.work_dir))
        if found is not None:
            cfg.resume, cfg.load_from = True, str(found)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    set_auto_scale_lr(cfg, args.auto_scale_lr)
    runner = build_runner(cfg)
    for path in damaged:
        runner.logger.warning(f"The checkpoint '{path}' is truncated or damaged: passed over.")
    if args.resume and not cfg.resume:
        runner.logger.warning(f"There is no checkpoint in '{cfg.work_dir}': training starts.")
    runner.train()


def set_amp(cfg: Config) -> None:
    """Set an optimizer wrapper for mixed precision."""
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:  # mmengine's refuses to run without a GPU
        cfg.optim_wrapper.type = 'vit_plugin.AutocastOptimWrapper'
        cfg.optim_wrapper.pop('loss_scale', None)


def set_auto_scale_lr(cfg: Config, enable: bool) -> None:
    """Let the learning rate follow the batch size; mmengine 0.10 leaves accumulation out."""
    auto = cfg.get('auto_scale_lr') or {}
    if enable and 'base_batch_size' not in auto:
        sys.exit('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config.')
    if enable or auto.get('enable'):
        auto['enable'] = True
        auto['base_batch_size'] /= cfg.optim_wrapper.get('accumulative_counts', 1)


if __name__ == '__main__':
    main()
