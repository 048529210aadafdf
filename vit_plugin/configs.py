"""The config that a command or a script names, with the options that change it."""
import glob
import inspect
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.config.utils import ConfigParsingError
from mmengine.runner import Runner

from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.files import CONFIGS
from vit_plugin.toolkits import TOOLKITS, data_sets, how_to_install, import_toolkit

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')

# What mmengine reads at the top of a config.
SETTINGS = {*inspect.signature(Runner.__init__).parameters, 'runner_type', 'model_wrapper_cfg',
            'sync_bn', 'find_unused_parameters', 'activation_checkpointing',
            'efficient_conv_bn_eval', 'compile', 'strategy', 'tta_model', 'tta_pipeline'}


def load_config(name: str, options: Mapping[str, object] | None = None,
                data_root: str | None = None, work_dir: str | None = None
                ) -> tuple[Config, list[str]]:
    """Read a config and apply options to it, as the commands do.

    Args:
        name: A file, or the name of one of the plugin's configs.
        options: ``--cfg-options``: setting, with dots between its parts -> value.
        data_root: Folder of the data, for all data sets.
        work_dir: Folder of logs and checkpoints; None for the config's, or ``work_dirs/<name>``.

    Returns:
        The config, and notes on options that have no effect or make a new setting.

    Raises:
        UserError: there is no such config, or an option cannot be applied.
    """
    cfg = read_config(name)
    import_scope(cfg.get('default_scope'))
    if data_root:
        set_data_root(cfg, data_root)
    notes = merge_options(cfg, options or {})
    for part in ('model', 'optim_wrapper', *LOADERS):
        if not isinstance(cfg.get(part), (dict, type(None))):
            raise UserError(f'{part} must be a dict, got {cfg[part]!r}')
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(cfg.filename).stem}'
    set_loaders(cfg)
    return cfg, notes


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


def import_scope(scope: str | None) -> None:
    """Import the toolkit that a config's names are of; `UserError` if it is not installed."""
    if scope in TOOLKITS:
        if find_spec(scope) is None:
            raise UserError(
                f'the config needs {scope}, which is not installed: {how_to_install(scope)}')
        for part in ('datasets', 'models'):
            import_toolkit(f'{scope}.{part}')


def merge_options(cfg: Config, options: Mapping[str, object]) -> list[str]:
    """Set ``--cfg-options`` in a config; mmengine adds new settings silently.

    Returns:
        Notes on options that have no effect, or make a new setting.

    Raises:
        UserError: nothing reads an option, and it comes close to one that is read; or its place
            does not exist.
    """
    notes = []
    for option in options:
        top, *rest = option.split('.')
        near = did_you_mean(top, SETTINGS)
        if top in SETTINGS:
            notes += note_new_setting(cfg.get(top), option, rest)
        elif top in cfg:
            notes.append(f"--cfg-options {option} has no effect where the config file itself uses "
                         f"'{top}', since the file has been read: set what was made of it.")
        elif near:
            raise UserError(f"--cfg-options {option}: there is no setting '{top}'{near}")
        else:
            notes.append(f"--cfg-options {option}: the config has no '{top}', and mmengine reads "
                         'no such setting.')
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError) as error:
        raise UserError(f'--cfg-options: {error.args[0]}') from error
    return notes


def note_new_setting(part: object, option: str, keys: Sequence[str]) -> list[str]:
    """A note if one of the keys below a part of a config is not there, else none."""
    for key in keys:
        if isinstance(part, (list, tuple)) and key.isdigit() and int(key) < len(part):
            part = part[int(key)]
        elif isinstance(part, dict) and key in part:
            part = part[key]
        elif isinstance(part, dict):
            near = did_you_mean(key, map(str, part)) or '.'
            return [f"--cfg-options {option}: the config has no '{key}' there, so that a new "
                    f'setting is made{near}']
        else:
            break
    return []


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


def loaders(cfg: Config) -> list[ConfigDict]:
    """The data loaders that the config has."""
    return [cfg[name] for name in LOADERS if cfg.get(name) is not None]


def set_loaders(cfg: Config) -> None:
    """Give the data loaders what mmpretrain's tools do, whose configs count on it.

    In all toolkits, no workers are not kept: torch refuses to.
    """
    for loader in loaders(cfg):
        if cfg.get('default_scope') == 'mmpretrain':
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', torch.cuda.is_available())
            loader.setdefault('persistent_workers', loader.get('num_workers', 0) > 0)
        if not loader.get('num_workers'):
            loader.persistent_workers = False
