"""Train small models of all tasks on real digits, and write a page of what they learnt.

Usage: vit-plugin demo [PART ...] [--quick] [--seeds N] [--iterations N] [--work-dir DIR]

    digits   does a teacher help a DeiT that has few labelled images?
    scenes   does a Swin that has seen digits find them in scenes?
    report   tables, curves and pictures of both on one page
"""
import argparse
import time
from pathlib import Path

from .messages import explained

PARTS = ('digits', 'scenes', 'report')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('parts', nargs='*', metavar='PART', help='all by default')
    parser.add_argument('--quick', action='store_true',
                        help='see it run in under two minutes; too short to learn much')
    parser.add_argument('--seeds', type=int, metavar='N', help='runs of each student')
    parser.add_argument('--iterations', type=int, metavar='N', help='training steps of each model')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    parser.add_argument('--debug', action='store_true',
                        help='show the traceback of an error instead of a message')
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f'there is no part {sorted(unknown)}: choose from {", ".join(PARTS)}')
    with explained(args):
        demo(args)


def demo(args: argparse.Namespace) -> None:
    """Run the parts; each is imported when it is its turn, so that the first one starts soon."""
    start = time.time()
    iterations = args.iterations or (60 if args.quick else None)
    if not (args.parts or iterations):
        print('Trains 15 small models; the first results come within 3 minutes on 2 cores, all '
              f'within 15. Everything is kept in {args.work_dir}/.')
    for part in args.parts or PARTS:
        if part == 'digits':
            from vit_plugin.demo.digits import run_digits
            run_digits(args.work_dir, iterations or 800, args.seeds or (1 if args.quick else 3))
        elif part == 'scenes':
            from vit_plugin.demo.scenes import run_scenes
            run_scenes(args.work_dir, iterations)
        else:
            from vit_plugin.demo.report import write_report
            print('Drawing what the models see ...')
            print(f'Report: {write_report(args.work_dir)}')
    print(f'Done in {(time.time() - start) / 60:.1f} minutes.')
