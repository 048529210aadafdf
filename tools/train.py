"""Train with a config of mmpretrain, mmdet or mmseg.

Usage: python tools/train.py CONFIG [--work-dir DIR] [--resume [CHECKPOINT]] [--amp] ...
"""
import argparse
import sys

import torch
from launch import build_runner, load_config, make_parser


def parse_args() -> argparse.Namespace:
    parser = make_parser('Train with a config of mmpretrain, mmdet or mmseg.')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help="go on from a checkpoint; without a value, from the work folder's last")
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (needs a GPU)')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate in training')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate by the batch size, from auto_scale_lr's")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        if not torch.cuda.is_available():
            sys.exit('--amp needs a GPU: mmengine has no mixed precision on the CPU.')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            sys.exit('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config.')
        cfg.auto_scale_lr.enable = True
    build_runner(cfg).train()


if __name__ == '__main__':
    main()
