"""The options that commands share."""
import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

import torch
from mmengine.config import DictAction

from .restarts import end_restarts

# Launcher -> what it puts into the environment of each process.
LAUNCHERS = {'none': '', 'pytorch': 'RANK', 'slurm': 'SLURM_PROCID',
             'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}

PICTURES = ('.png', '.pdf', '.svg')  # endings of the files that pictures are written to


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose usage errors torchrun does not repeat."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and leave."""
        end_restarts()
        super().error(message)


class Options(DictAction):
    """mmengine's ``DictAction``, but a usage error for what it cannot read."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Sequence[str], option_string: str | None = None) -> None:
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError):
            parser.error(f'--cfg-options takes KEY=VALUE with balanced brackets, got {values}')


def positive(text: str) -> int:
    """An argument of the command line that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {text!r}')
    return int(text)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add the option of every command that explains errors."""
    parser.add_argument('--debug', action='store_true',
                        help='show the traceback of an error instead of a message')


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options of every command that reads a checkpoint."""
    parser.add_argument('--trust-checkpoint', action='store_true',
                        help='run the code that the checkpoint may bring; without it, a checkpoint '
                             'that needs code is refused')
    add_debug(parser)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the options that change a config."""
    parser.add_argument('--data-root', help='folder of the data, for all data sets')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE',
                        help='change settings, e.g. optim_wrapper.optimizer.lr=1e-3')


def make_parser(description: str) -> argparse.ArgumentParser:
    """The options of training and testing, as in the tools of mmpretrain, mmdet and mmseg."""
    parser = Parser(description=description)
    parser.add_argument('config', help='config file of mmpretrain, mmdet or mmseg')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    add_config(parser)
    add_common(parser)
    parser.add_argument('--launcher', choices=tuple(LAUNCHERS), default='none')
    # torchrun passes the rank in the environment, torch.distributed.launch as an argument
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments; ends with a usage error if the launcher did not start this process."""
    args = parser.parse_args()
    expected = LAUNCHERS[args.launcher]
    if expected and expected not in os.environ:
        parser.error(f'--launcher {args.launcher}, but the process was not started by it '
                     f'({expected} is not set). Several processes: tools/dist_train.sh, '
                     'tools/slurm_train.sh or torchrun -m vit_plugin; one: leave --launcher out')
    if args.launcher in ('slurm', 'mpi') and not torch.cuda.is_available():
        parser.error(f'--launcher {args.launcher} needs a GPU for each process, and torch finds '
                     'none. Processes on CPUs: tools/dist_train.sh')
    return args
