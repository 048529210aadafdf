"""Train small models of all tasks on real digits, and write a page of what they learnt.

Usage: vit-plugin demo [PART ...] [--full] [--quick] [--seeds N] [--iterations N] [--work-dir DIR]

    digits     does a teacher help a DeiT that has few labelled images?
    scenes     does a Swin that has seen digits find them in scenes?
    teachers   what do features, larger detectors and segmentors teach? only with --full or by name
    report     tables, curves and pictures of all on one page
"""
import argparse
import time
from pathlib import Path

from .arguments import add_debug, positive
from .messages import explained

PARTS = ('digits', 'scenes', 'teachers', 'report')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('parts', nargs='*', metavar='PART', help='all but teachers by default')
    parser.add_argument('--full', action='store_true', help='teachers, too: 10 to 20 minutes more')
    parser.add_argument('--quick', action='store_true',
                        help='see it run in under two minutes; too short to learn much')
    parser.add_argument('--seeds', type=positive, metavar='N', help='runs of each student')
    parser.add_argument('--iterations', type=positive, metavar='N',
                        help='training steps of each model')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    add_debug(parser)
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
    parts = args.parts or [part for part in PARTS if args.full or part != 'teachers']
    if not (args.parts or iterations):
        models, minutes = (40, 40) if args.full else (15, 20)
        print(f'Trains {models} small models; the first results come within 3 minutes on 2 cores, '
              f'all within {minutes}. Everything is kept in {args.work_dir}/.')
    for part in parts:
        if part == 'digits':
            from vit_plugin.demo.digits import run_digits
            run_digits(args.work_dir, iterations or 800, args.seeds or (1 if args.quick else 3))
        elif part == 'scenes':
            from vit_plugin.demo.scenes import run_scenes
            run_scenes(args.work_dir, iterations)
        elif part == 'teachers':
            from vit_plugin.demo.teachers import run_teachers
            run_teachers(args.work_dir, iterations, args.seeds or (1 if args.quick else 3))
        else:
            from vit_plugin.demo.report import write_report
            print('Drawing what the models see ...')
            print(f'Report: {write_report(args.work_dir)}')
    print(f'Done in {(time.time() - start) / 60:.1f} minutes.')
