"""Command line and config handling that train.py and test.py share."""
import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from checks import check_options, check_toolkit, check_work_dir
from messages import add_trust, did_you_mean
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.config.utils import ConfigParsingError
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from vit_plugin.checkpoints.runner import read_as_data
from vit_plugin.checks import CheckHook

ROOT = Path(__file__).resolve().parents[1]
# Launcher -> what it puts into the environment of each process.
LAUNCHERS = {'none': '', 'pytorch': 'RANK', 'slurm': 'SLURM_PROCID',
             'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}


class Options(DictAction):
    """mmengine's ``DictAction``, but a usage error for what it cannot read."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError):
            parser.error(f'--cfg-options takes KEY=VALUE with balanced brackets, got {values}')


def make_parser(description: str) -> argparse.ArgumentParser:
    """The options that both tools take, as in the tools of mmpretrain, mmdet and mmseg."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file of mmpretrain, mmdet or mmseg')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument('--data-root', help='folder of the data, for all data sets')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE',
                        help='change settings, e.g. optim_wrapper.optimizer.lr=1e-3')
    add_trust(parser)
    parser.add_argument('--launcher', choices=tuple(LAUNCHERS), default='none')
    parser.add_argument('--debug', action='store_true',
                        help='show the traceback of an error instead of a message')
    # torchrun passes the rank in the environment, torch.distributed.launch as an argument
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; ends with a usage error if the launcher did not start this process."""
    args = parser.parse_args()
    expected = LAUNCHERS[args.launcher]
    if expected and expected not in os.environ:
        parser.error(f'--launcher {args.launcher}, but the process was not started by it '
                     f'({expected} is not set). Several processes: tools/dist_train.sh or '
                     'tools/slurm_train.sh; one process: leave --launcher out')
    if args.launcher in ('slurm', 'mpi') and not torch.cuda.is_available():
        parser.error(f'--launcher {args.launcher} needs a GPU for each process, and torch finds '
                     'none. Processes on CPUs: tools/dist_train.sh')
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file, apply the options of `make_parser` to it, and check both.

    Sets ``args.work_dir`` to the run's, and ``args.notes`` to what its log should warn of.
    """
    if not Path(args.config).is_file():
        sys.exit(f"Error: there is no config '{args.config}'{similar_configs(args.config)}")
    try:
        cfg = Config.fromfile(args.config)
    except ImportError:
        raise
    except Exception as error:  # a config is Python code, which can raise anything
        raise ConfigParsingError(f"the config '{args.config}', or one in its _base_, cannot be "
                                 f'read ({type(error).__name__}: {error})') from error
    check_toolkit(cfg.get('default_scope'))
    if args.data_root:
        set_data_root(cfg, args.data_root)
    args.notes = check_options(cfg, args.cfg_options or {})
    try:
        cfg.merge_from_dict(args.cfg_options or {})
    except (KeyError, TypeError) as error:
        sys.exit(f'Error: --cfg-options: {error.args[0]}')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    args.work_dir = cfg.work_dir
    if cfg.get('default_scope') == 'mmpretrain':
        set_mmpretrain_loaders(cfg)
    for loader in loaders(cfg):
        if not loader.get('num_workers'):
            loader.persistent_workers = False  # torch refuses to keep workers that are not there
    return cfg


def similar_configs(path: str) -> str:
    """Configs with a similar name, in the plugin's folder and in the one that was named."""
    known = [*Path(path).parent.glob('*.py'), *ROOT.glob('configs/[!_]*/*.py')]
    names = {file.stem: os.path.relpath(file) for file in known}
    near = did_you_mean(Path(path).stem, names)
    for stem, file in names.items():
        near = near.replace(f"'{stem}'", file)
    return near or f". The plugin's own are in {os.path.relpath(ROOT / 'configs')}."


def loaders(cfg: Config) -> list[ConfigDict]:
    """The data loaders that the config has."""
    names = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    return [cfg[name] for name in names if cfg.get(name) is not None]


def set_data_root(cfg: Config, data_root: str) -> None:
    """Set ``data_root`` of the data sets, also of wrapped ones, and of evaluators' files."""
    former = set()
    for loader in loaders(cfg):
        dataset = loader.get('dataset')
        while dataset is not None:
            if 'data_root' in dataset:
                former.add(str(Path(dataset.data_root)))
                dataset.data_root = data_root
            dataset = dataset.get('dataset')
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


def find_checkpoint(work_dir: Path) -> tuple[Path | None, list[Path]]:
    """The newest whole checkpoint of a run, and the newer ones that are damaged."""
    pointer = work_dir / 'last_checkpoint'
    last = pointer.read_text().strip() if pointer.is_file() else ''
    folder = Path(last).parent if last else work_dir  # CheckpointHook's out_dir may differ
    found = [path for pattern in ('epoch_*.pth', 'iter_*.pth') for path in folder.glob(pattern)]
    damaged: list[Path] = []
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if is_whole(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def is_whole(path: Path) -> bool:
    """Whether the checksums of a checkpoint, which torch writes as a zip archive, are right."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except BadZipFile:
        return False


def check_checkpoint(path: str) -> None:
    """Stop if a checkpoint is not there, or damaged."""
    if '://' in path:
        return
    if not Path(path).is_file():
        beside = Path(path).parent.glob('*.pth')
        near = did_you_mean(Path(path).name, [file.name for file in beside])
        sys.exit(f"Error: there is no checkpoint '{path}'{near or '.'}")
    with open(path, 'rb') as file:
        is_zip = file.read(2) == b'PK'  # older checkpoints are none
    if is_zip and not is_whole(Path(path)):
        sys.exit(f"Error: the checkpoint '{path}' is truncated or damaged. tools/train.py --resume "
                 'without a value takes the newest whole one of the work dir.')


def build_runner(cfg: Config, notes: Iterable[str] = (), trust: bool = False) -> Runner:
    """Build the runner that the config asks for, and write ``notes`` into its log as warnings.

    Its checkpoints are read as data, unless ``trust`` lets that of ``load_from`` run code.
    """
    read_as_data()  # what models load when they are built
    check_work_dir(cfg.work_dir)
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        distribute_on_cpu(cfg)
    local_rank = int(os.environ.get('LOCAL_RANK', 0)) if cfg.launcher == 'pytorch' else 0
    if local_rank >= torch.cuda.device_count() > 0:
        sys.exit(f'Error: there are more processes than GPUs: process {local_rank} on this '
                 f'machine finds {torch.cuda.device_count()}. Start as many as there are.')
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    set_check_hook(runner, trust)
    for note in notes:
        runner.logger.warning(note)
    return runner


def set_check_hook(runner: Runner, trust: bool) -> None:
    """Give the runner a `CheckHook`, unless it has one; no config that is kept says trust."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckHook)), None)
    if hook is None:
        hook = CheckHook()
        runner.register_hook(hook)
    hook.trust_checkpoint = trust


@contextmanager
def former_config(cfg: Config) -> Iterator[None]:
    """Put the config file of an earlier run back if this one ends; mmengine has replaced it."""
    path = Path(cfg.work_dir, Path(cfg.filename).name)
    former = path.read_bytes() if path.is_file() else None
    try:
        yield
    except BaseException:
        if former is not None:
            path.write_bytes(former)
        raise


def leave_processes() -> None:
    """End what several processes share; gloo's threads can abort a process that exits with them."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def distribute_on_cpu(cfg: Config) -> None:
    """Let processes talk by gloo, and DDP have no device: mmengine 0.10 assumes CUDA in both."""
    torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel', 'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **cfg.get('model_wrapper_cfg', {}), 'device_ids': None}
