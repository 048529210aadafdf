"""The config that a command names, with the options that change it."""
import argparse
import glob
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.config.utils import ConfigParsingError

from vit_plugin.checks.settings import check_options
from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.files import CONFIGS
from vit_plugin.toolkits import TOOLKITS, data_sets, how_to_install, import_toolkit

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file, apply the options of `make_parser` to it, and check both.

    Sets ``args.work_dir`` to the run's, and ``args.notes`` to what its log should warn of.
    """
    args.config = find_config(args.config)
    cfg = read_config(args.config)
    check_toolkit(cfg.get('default_scope'))
    if args.data_root:
        set_data_root(cfg, args.data_root)
    args.notes = check_options(cfg, args.cfg_options or {})
    try:
        cfg.merge_from_dict(args.cfg_options or {})
    except (KeyError, TypeError) as error:
        raise UserError(f'--cfg-options: {error.args[0]}') from error
    for name in ('model', 'optim_wrapper', *LOADERS):
        if not isinstance(cfg.get(name), (dict, type(None))):
            raise UserError(f'{name} must be a dict, got {cfg[name]!r}')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    args.work_dir = cfg.work_dir
    if cfg.get('default_scope') == 'mmpretrain':
        set_mmpretrain_loaders(cfg)
    for loader in loaders(cfg):
        if not loader.get('num_workers'):
            loader.persistent_workers = False  # torch refuses to keep workers that are not there
    return cfg


def read_config(name: str) -> Config:
    """A config and its bases: a file, or one of the plugin's own by its name."""
    file = find_config(name)
    try:
        return Config.fromfile(file)
    except ImportError:
        raise
    except Exception as error:  # a config is Python code, which can raise anything
        raise ConfigParsingError(f"the config '{file}', or one in its _base_, cannot be "
                                 f'read ({type(error).__name__}: {error})') from error


def find_config(name: str) -> str:
    """The path of a config: a file, or the name of one of the plugin's own, with or without folder.

    Raises:
        UserError: there is no such config.
    """
    if Path(name).is_file():
        return name
    stem = name.removesuffix('.py')
    own = [*CONFIGS.resolve().glob(f'[!_]*/{glob.escape(stem)}.py'),
           CONFIGS.resolve() / f'{stem}.py']
    found = [file for file in own if file.is_file()]
    without = Path(stem).name.replace('_amp-', '_')
    if without != Path(stem).name and list(CONFIGS.glob(f'*/{glob.escape(without)}.py')):
        raise UserError(f"there is no config '{name}': mixed precision is an option of training. "
                        f'Take {without} with --amp bfloat16')
    if not found or Path(stem).is_absolute():
        raise UserError(f"there is no config '{name}'{similar_configs(name)}")
    return os.path.relpath(found[0])


def similar_configs(path: str) -> str:
    """Similar names of the plugin's configs, and of files in the folder that was named."""
    own = [file.stem for file in CONFIGS.resolve().glob('[!_]*/*.py')]
    files = {file.stem: str(file) for file in Path(path).parent.glob('*.py')}
    near = did_you_mean(Path(path).stem, [*own, *files])
    for stem, file in files.items():
        near = near.replace(f"'{stem}'", f"'{file}'")
    return near or f". The plugin's own are in {CONFIGS.resolve()}."


def loaders(cfg: Config) -> list[ConfigDict]:
    """The data loaders that the config has."""
    return [cfg[name] for name in LOADERS if cfg.get(name) is not None]


def set_data_root(cfg: Config, data_root: str) -> None:
    """Set ``data_root`` of all data sets, and of evaluators' files.

    Raises:
        UserError: no data set has one.
    """
    former = set()
    for loader in loaders(cfg):
        for dataset in data_sets(loader.get('dataset')):
            if 'data_root' in dataset:
                former.add(str(Path(dataset.data_root or '')))
                dataset.data_root = data_root
    if not former:
        raise UserError(f'--data-root {data_root}: no data set of the config has a data_root. '
                        'Name the files with --cfg-options')
    for name in ('val_evaluator', 'test_evaluator'):
        found = cfg.get(name) or []
        for evaluator in found if isinstance(found, Sequence) else [found]:
            file = Path(evaluator.get('ann_file') or '')
            for root in former.intersection(map(str, file.parents)):
                evaluator.ann_file = str(data_root / file.relative_to(root))


def set_mmpretrain_loaders(cfg: Config) -> None:
    """Give the data loaders what mmpretrain's tools do; its configs count on it."""
    for loader in loaders(cfg):
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', torch.cuda.is_available())
        loader.setdefault('persistent_workers', loader.get('num_workers', 0) > 0)


def check_toolkit(scope: str | None) -> None:
    """Raise unless the config's toolkit is installed; its own error if it does not import."""
    if scope in TOOLKITS:
        if find_spec(scope) is None:
            raise UserError(
                f'the config needs {scope}, which is not installed: {how_to_install(scope)}')
        for part in ('datasets', 'models'):
            import_toolkit(f'{scope}.{part}')
