"""Write a trained model to a file that runs without torch and OpenMMLab.

Usage: vit-plugin export CONFIG CHECKPOINT --to onnx|openvino|pt2 [--size H W] [--fixed] ...

The file takes RGB pixels from 0 to 255, float32 (batch, 3, height, width), of any size, and gives
scores of classes, labels of pixels, or boxes with masks. It is run in its runtime beside the
original before it is kept. Small models take a minute, Swin-T three.
"""
import argparse
from pathlib import Path

from vit_plugin.configs import load_config
from vit_plugin.export import Settings, export_model
from vit_plugin.export.formats import FORMATS

from .arguments import add_common, add_config, positive
from .messages import explained


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of mmpretrain, mmdet or mmseg')
    parser.add_argument('checkpoint', help='weights of the model')
    parser.add_argument('--to', choices=tuple(FORMATS), default='onnx')
    parser.add_argument('--out', type=Path, metavar='FILE',
                        help='a new file; work_dirs/export/CONFIG.* by default')
    parser.add_argument('--size', nargs=2, type=positive, metavar=('H', 'W'),
                        help="image size to export and time with; the backbone's img_size by "
                             'default')
    parser.add_argument('--fixed', action='store_true', help='let the file take this size alone')
    parser.add_argument('--logits', action='store_true',
                        help="give a segmentor's logits in place of labels")
    parser.add_argument('--images', nargs='+', default=(), metavar='FILE',
                        help='images to compare on; the first of the test data by default')
    parser.add_argument('--check', action='store_true',
                        help='compute the metrics of the whole test data, of file and original')
    add_config(parser)
    add_common(parser)
    args = parser.parse_args()
    ending = FORMATS[args.to].ending
    if args.out is None:
        args.out = Path('work_dirs/export', Path(args.config).stem + ending)
    if args.out.suffix != ending:
        parser.error(f"--to {args.to} writes {ending}, got --out '{args.out}'")
    return args


def main() -> None:
    args = parse_args()
    with explained(args):
        cfg, notes = load_config(args.config, args.cfg_options, args.data_root)
        for note in notes:
            print(f'Note: {note}')
        size = tuple(args.size) if args.size else None
        export_model(cfg, args.checkpoint, Settings(
            args.to, args.out, size, args.fixed, args.logits, args.images, args.check,
            args.trust_checkpoint))
        print(f'Written: {args.out}')
