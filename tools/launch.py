"""Command line and config handling that train.py and test.py share."""
import argparse
import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def make_parser(description: str) -> argparse.ArgumentParser:
    """The options that both tools take, as in the tools of mmpretrain, mmdet and mmseg."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file of mmpretrain, mmdet or mmseg')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument('--data-root', help='folder of the data, for all data sets')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='change settings, e.g. optim_wrapper.optimizer.lr=1e-3')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun passes the rank in the environment, torch.distributed.launch as an argument
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and apply the options of `make_parser` to it."""
    if not Path(args.config).is_file():
        sys.exit(f"There is no config '{args.config}'. The plugin's own are in configs/.")
    cfg = Config.fromfile(args.config)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    if cfg.get('default_scope') == 'mmpretrain':
        set_mmpretrain_loaders(cfg)
    return cfg


def set_data_root(cfg: Config, data_root: str) -> None:
    """Set ``data_root`` of the data set, also of a wrapped one, in every loader."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset is not None:
            if 'data_root' in dataset:
                dataset.data_root = data_root
            dataset = dataset.get('dataset')


def set_mmpretrain_loaders(cfg: Config) -> None:
    """Give the data loaders what mmpretrain's tools do; its configs count on it."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader is not None:
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


def build_runner(cfg: Config) -> Runner:
    """Build the runner that the config asks for."""
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        distribute_on_cpu(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def distribute_on_cpu(cfg: Config) -> None:
    """Let processes talk by gloo, and DDP have no device: mmengine 0.10 assumes CUDA in both."""
    torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel', 'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **cfg.get('model_wrapper_cfg', {}), 'device_ids': None}
