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
from mmengine.config import Config

from vit_plugin.configs import load_config
from vit_plugin.errors import UserError
from vit_plugin.pictures import (
    attention,
    curves,
    gradcam,
    positions,
    predictions,
    pyramid,
    rates,
    windows,
)
from vit_plugin.pictures.drawing import save
from vit_plugin.pictures.subject import PictureError, load_subject

from .arguments import PICTURES, add_common, add_config, positive
from .messages import explained

# What needs images, and how many are taken from the test data.
OF_IMAGES = {'attention': (attention.draw, 3), 'windows': (windows.draw, 1),
             'gradcam': (gradcam.draw, 3), 'pyramid': (pyramid.draw, 1)}
OF_MODEL = {'positions': positions.draw, 'lr': rates.draw}
KINDS = (*OF_IMAGES, 'predictions', *OF_MODEL, 'curves')
WEIGHTS = ('.pth', '.pt', '.safetensors')

# Options that change nothing in a kind of picture.
UNUSED = {**dict.fromkeys(OF_MODEL, ('num', 'data_root')),
          'curves': ('num', 'data_root', 'cfg_options', 'trust_checkpoint')}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=KINDS)
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


def draw(kind: str, cfg: Config, name: str, checkpoint: str | Path | None = None,
         images: list[str] | None = None, count: int | None = None, trust: bool = False) -> Figure:
    """The picture of a config's model.

    Args:
        kind: One of `KINDS`, but not ``'curves'``.
        cfg: The config.
        name: What to call it in the title.
        checkpoint: Weights; None for random ones.
        images: Paths; None for ``count`` from the config's test data.
        count: How many; None for as many as are usual for this kind.
        trust: Run the code that the checkpoint may bring.

    Raises:
        PictureError: a file is missing, or the kind does not fit the model.
    """
    subject = load_subject(cfg, name, checkpoint, trust)
    if kind in OF_MODEL:
        return OF_MODEL[kind](subject)
    if kind == 'predictions':
        return predictions.draw(subject, predictions.given_samples(images) if images
                                else predictions.test_samples(subject, count or 6))
    draw_images, usual = OF_IMAGES[kind]
    return draw_images(subject, images or subject.example_images(count or usual))


def split_inputs(inputs: list[str]) -> tuple[str | None, list[str]]:
    """The checkpoint, if there is one, and the images among command-line arguments."""
    weights = [path for path in inputs if path.split('?')[0].endswith(WEIGHTS)]
    if len(weights) > 1:
        raise PictureError(f'one picture shows one checkpoint, got {len(weights)}: '
                           f'{", ".join(weights)}')
    return next(iter(weights), None), [path for path in inputs if path not in weights]


def check_used(args: argparse.Namespace, images: list[str]) -> None:
    """Raise `PictureError` for arguments that would change nothing."""
    for option in UNUSED.get(args.kind, ()):
        if getattr(args, option):
            raise PictureError(f'--{option.replace("_", "-")} changes nothing in a picture of the '
                               f'kind {args.kind}: leave it out')
    if images and args.kind in OF_MODEL:
        raise PictureError(f'{args.kind} shows the model alone and takes no images, got '
                           f'{", ".join(images)}. A checkpoint ends in {", ".join(WEIGHTS)}')
    if images and args.num:
        given = '1 is' if len(images) == 1 else f'{len(images)} are'
        raise PictureError(f'--num {args.num} counts images of the test data, and {given} given: '
                           'leave one of them out')


def make_figure(args: argparse.Namespace) -> Figure:
    """The figure that the command line asks for."""
    checkpoint, images = (None, []) if args.kind == 'curves' else split_inputs(args.inputs)
    check_used(args, images)
    if args.kind == 'curves':
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
