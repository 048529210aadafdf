"""Command line and config handling that train.py and test.py share."""
import argparse
import sys
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def make_parser(description: str) -> argparse.ArgumentParser:
    """The options that both tools take, as in the tools of mmpretrain, mmdet and mmseg."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file of mmpretrain, mmdet or mmseg')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
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
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    if cfg.get('default_scope') == 'mmpretrain':
        set_mmpretrain_loaders(cfg)
    return cfg


def set_mmpretrain_loaders(cfg: Config) -> None:
    """Give the data loaders what mmpretrain's tools do; its configs count on it."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader is not None:
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', torch.cuda.is_available())
            loader.setdefault('persistent_workers', loader.get('num_workers', 0) > 0)


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
