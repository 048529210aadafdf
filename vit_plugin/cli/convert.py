"""Convert a Swin or DeiT checkpoint from any known layout to another.

Usage: vit-plugin convert SOURCE TARGET --to openmmlab|timm|official|huggingface [--lora CONFIG]
"""
import argparse
from pathlib import Path

from mmengine.registry import DefaultScope

from vit_plugin.backbones import merge_lora
from vit_plugin.checkpoints import (
    CheckpointError,
    check_finite,
    from_openmmlab,
    read_checkpoint,
    take_weights,
    to_openmmlab,
    write_checkpoint,
)
from vit_plugin.checks.classes import classes_in
from vit_plugin.errors import UserError
from vit_plugin.files import check_new

from .arguments import add_common
from .messages import explained


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert a Swin or DeiT checkpoint. The layout of the source is recognised: '
                    'OpenMMLab, official, timm (old and new), torchvision or Hugging Face. Shapes '
                    'stay as they are; a model fits them to its own when it loads them.')
    parser.add_argument('source', help='.pth, .pt, .bin or .safetensors, the index.json of one in '
                                       'parts, a folder of Hugging Face, or an address (https://...)')
    parser.add_argument('target', type=Path, help='a new file, .pth or .safetensors')
    parser.add_argument('--to', choices=('openmmlab', 'timm', 'official', 'huggingface'),
                        default='openmmlab')
    parser.add_argument('--lora', metavar='CONFIG',
                        help="the config of a run with vit_plugin.LoRA: add its adapters to the "
                             'weights')
    parser.add_argument('--prefix', help="where the backbone starts, e.g. 'teacher.backbone.' or "
                                         "'teacher'; needed where the source holds several")
    add_common(parser)
    args = parser.parse_args()
    if args.target.suffix not in ('.pth', '.safetensors'):
        parser.error(f"the target must end in .pth or .safetensors, got '{args.target}'")
    return args


def main() -> None:
    args = parse_args()
    with explained(args):
        convert(args)


def convert(args: argparse.Namespace) -> None:
    check_new(args.target)
    content = read_checkpoint(args.source, trust=args.trust_checkpoint)
    weights = take_weights(content, args.source)
    if args.lora:
        from vit_plugin.configs import read_config  # needs OpenCV

        cfg = read_config(args.lora)
        backbone = (cfg.get('model') or {}).get('backbone')
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            weights = merge_lora(weights, backbone)
    weights, layout = to_openmmlab(weights, args.prefix)
    classes = classes_in(content)
    try:
        check_finite(weights, [name for name in weights if not name.endswith('mask')])
    except CheckpointError as error:
        raise UserError(f"'{args.source}' has weights that are {error}") from error
    converted = weights if args.to == 'openmmlab' else from_openmmlab(weights, args.to)
    names = f'the names of {len(classes)} classes' if classes else ''
    nested = {'openmmlab': 'state_dict', 'official': 'model'}.get(args.to)
    if nested and args.target.suffix == '.pth':
        meta = {'meta': {'dataset_meta': {'classes': classes}}} if classes else {}
        write_checkpoint({nested: converted, **meta}, args.target)
        names = names and f' and {names}'
    else:
        write_checkpoint(converted, args.target)
        names = names and f', without {names}'
    print(f'{args.source} ({layout}) -> {args.target} ({args.to}): {len(converted)} of '
          f'{len(weights)} weights{names}')
