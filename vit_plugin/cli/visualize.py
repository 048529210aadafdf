"""Draw what a model does, from a config, a checkpoint and an image, to a file or a window.

Usage: vit-plugin visualize KIND CONFIG [CHECKPOINT] [IMAGE ...] [--out FILE] [--show] ...
       vit-plugin visualize curves WORK_DIR ...

    attention    where DeiT's tokens look: attention rollout and last block
    windows      where Swin's windows look, for each stage, regular and shifted
    gradcam      which places speak for a class (DeiT and Swin classifiers)
    pyramid      the feature maps of each scale, of backbone and neck
    predictions  predictions beside the ground truth: classes, boxes and masks, label maps
    positions    DeiT's position similarity, Swin's relative position bias
    lr           the learning rate that each layer gets
    curves       losses, metrics, learning rate and teacher agreement of trainings

Without a checkpoint the weights are random, and the picture says so. Without an image, some
spread over the config's test data are taken, where several data sets are joined over the first.
The default file is work_dirs/visualize/KIND_CONFIG.png.
"""
import argparse
from pathlib import Path

from matplotlib import pyplot
from matplotlib.figure import Figure

from vit_plugin.configs import load_config
from vit_plugin.errors import UserError
from vit_plugin.pictures import curves
from vit_plugin.pictures.drawing import save
from vit_plugin.pictures.kinds import KINDS, check_used, draw, split_inputs

from .arguments import PICTURES, add_common, add_config, positive
from .messages import explained


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=(*KINDS, 'curves'))
    parser.add_argument('config', help='config file; for curves the work dir of a training')
    parser.add_argument('inputs', nargs='*', metavar='CHECKPOINT|IMAGE',
                        help='weights (.pth, .pt, .safetensors or an address) and images; for '
                             'curves more work dirs')
    parser.add_argument('--out', type=Path, metavar='FILE', help='.png, .pdf or .svg')
    parser.add_argument('--show', action='store_true', help='open a window instead')
    parser.add_argument('--num', type=positive, metavar='N',
                        help='images to take from the test data')
    add_config(parser)
    add_common(parser)
    args = parser.parse_intermixed_args()
    if args.show and args.out:
        parser.error('--show opens a window instead of writing --out: leave one of them out')
    if args.out is None:
        args.out = Path(f'work_dirs/visualize/{args.kind}_{Path(args.config).stem}.png')
    if args.out.suffix not in PICTURES:
        parser.error(f"--out must end in {', '.join(PICTURES)}, got '{args.out}'")
    return args


def make_figure(args: argparse.Namespace) -> Figure:
    """The figure that the command line asks for."""
    is_curves = args.kind == 'curves'
    checkpoint, images = (None, []) if is_curves else split_inputs(args.inputs)
    options = [name for name, value in vars(args).items() if value]
    check_used(args.kind, options, images, args.num)
    if is_curves:
        return curves.draw([args.config, *args.inputs])
    cfg, _ = load_config(args.config, args.cfg_options, args.data_root)
    return draw(args.kind, cfg, Path(args.config).stem, checkpoint, images, args.num,
                args.trust_checkpoint)


def main() -> None:
    args = parse_args()
    with explained(args):
        if not args.show:
            pyplot.switch_backend('Agg')
        elif pyplot.get_backend().lower() == 'agg':
            raise UserError('--show needs a display, and matplotlib found none. Use --out FILE')
        figure = make_figure(args)
        if args.show:
            pyplot.show()
        else:
            save(figure, args.out)
            print(f'{args.kind}: {args.out}')
