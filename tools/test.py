"""Evaluate a checkpoint with a config of mmpretrain, mmdet or mmseg.

Usage: python tools/test.py CONFIG CHECKPOINT [--work-dir DIR] [--out FILE.pkl] ...
"""
import argparse
import sys
from pathlib import Path

from launch import build_runner, load_config, make_parser
from mmengine.evaluator import DumpResults


def parse_args() -> argparse.Namespace:
    parser = make_parser('Evaluate a checkpoint with a config of mmpretrain, mmdet or mmseg.')
    parser.add_argument('checkpoint', help='weights to evaluate')
    parser.add_argument('--out', metavar='FILE.pkl', help='also save the predictions')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if '://' not in args.checkpoint and not Path(args.checkpoint).is_file():
        sys.exit(f"There is no checkpoint '{args.checkpoint}'.")
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        sys.exit(f"--out must end in .pkl, got '{args.out}'.")
    cfg.load_from = args.checkpoint
    runner = build_runner(cfg)
    if args.out:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    main()
