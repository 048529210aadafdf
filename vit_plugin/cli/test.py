"""Evaluate a checkpoint with a config of mmpretrain, mmdet or mmseg.

Usage: vit-plugin test CONFIG CHECKPOINT [--work-dir DIR] [--out FILE.pkl] ...
"""
import argparse

from mmengine.evaluator import DumpResults

from vit_plugin.checks.findings import raise_errors
from vit_plugin.checks.weights import check_checkpoint_file
from vit_plugin.configs import load_config

from .arguments import make_parser, parse
from .launch import StudentRunner, build_runner, former_config, join_processes, leave_processes
from .messages import explained


def parse_args() -> argparse.Namespace:
    parser = make_parser('Evaluate a checkpoint with a config of mmpretrain, mmdet or mmseg.')
    parser.add_argument('checkpoint', help='weights to evaluate')
    parser.add_argument('--out', metavar='FILE.pkl', help='also save the predictions')
    args = parse(parser)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f"--out must end in .pkl, got '{args.out}'")
    return args


def main() -> None:
    args = parse_args()
    with explained(args):
        test(args)
        leave_processes()


def test(args: argparse.Namespace) -> None:
    cfg, notes = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
    args.work_dir = cfg.work_dir  # where `explained` leaves a traceback
    cfg.launcher = args.launcher
    raise_errors(check_checkpoint_file(args.checkpoint))
    cfg.load_from = args.checkpoint
    join_processes(cfg)
    with former_config(cfg, always=True):  # the training's
        runner = build_runner(cfg, notes, args.trust_checkpoint, StudentRunner)
    if args.out:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    runner.test()
