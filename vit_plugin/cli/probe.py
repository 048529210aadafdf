"""Fit the last layer of a classifier to features that are computed once, and evaluate it.

Usage: vit-plugin probe CONFIG [--data-root DIR] [--work-dir DIR] [--weight-decay W] ...
"""
import argparse
from copy import deepcopy
from pathlib import Path

from mmengine.runner import Runner

from vit_plugin.checkpoints import write_checkpoint
from vit_plugin.configs import load_config
from vit_plugin.errors import UserError
from vit_plugin.training.probing import features, fit_linear, last_layer

from .arguments import make_parser, parse
from .launch import build_runner, former_config
from .messages import explained

FILE = 'probe.pth'


def parse_args() -> argparse.Namespace:
    parser = make_parser('Fit the last layer of a classifier to features that are computed once '
                         'from the images as they are tested, and evaluate it.')
    parser.add_argument('--weight-decay', type=float, default=1e-4, help='default: %(default)s')
    args = parse(parser)
    if args.launcher != 'none':
        parser.error('probing is done by one process: leave --launcher out')
    if args.weight_decay < 0:
        parser.error(f'--weight-decay must be 0 or more, got {args.weight_decay}')
    return args


def main() -> None:
    args = parse_args()
    with explained(args):
        probe(args)


def probe(args: argparse.Namespace) -> None:
    cfg, notes = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
    args.work_dir = cfg.work_dir  # where `explained` leaves a traceback
    if cfg.model.type != 'ImageClassifier':
        raise UserError(f'probing is for an ImageClassifier, and the config has a {cfg.model.type}')
    with former_config(cfg):
        runner = build_runner(cfg, notes, args.trust_checkpoint)
    model = runner.model
    layer = last_layer(model)
    model.init_weights()
    runner.load_or_resume()
    loader = Runner.build_dataloader(training_images(cfg))
    x, y = features(model, loader)
    loss = fit_linear(layer, x, y, args.weight_decay)
    runner.logger.info(f'{len(x)} images, {x.shape[1]} features: the loss is {loss:.4f}')
    meta = dict(dataset_meta=getattr(loader.dataset, 'metainfo', {}))
    write_checkpoint(dict(state_dict=model.state_dict(), meta=meta), Path(cfg.work_dir, FILE))
    runner.test()


def training_images(cfg: dict) -> dict:
    """The data loader of the training set with the images and the order of the test set's."""
    loader = deepcopy(cfg['test_dataloader'])
    train = cfg['train_dataloader']['dataset']
    train = train.get('dataset', train)  # within a `SeededDataset`
    loader['dataset'] = dict(deepcopy(train), pipeline=loader['dataset']['pipeline'])
    return loader
