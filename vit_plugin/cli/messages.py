"""Errors of the commands: one message with the next step.

The traceback of a known error goes to ``traceback.txt`` in the work dir; ``--debug`` shows it
instead of the message. An unknown error keeps its traceback.
"""
import argparse
import errno
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config.utils import ConfigParsingError

from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.registry import missing_type, registered
from vit_plugin.toolkits import missing_library

from .restarts import end_restarts

# Errors that another try repeats; memory, disk and workers may be better then.
OF_USERS = (UserError, ConfigParsingError, ImportError, KeyError, TypeError)
MEMORY = ('out of memory. Take a smaller batch (--cfg-options train_dataloader.batch_size=N; '
          'optim_wrapper.accumulative_counts=M makes M of them one step), mixed precision (--amp), '
          'recomputation (model.backbone.with_cp=True) or smaller images')
# What libraries say -> what it means, and what to do.
ADVICE = {
    r'out of memory|not enough memory|can.t allocate memory': MEMORY,
    r'DataLoader worker .*(killed by signal|exited unexpectedly)|unable to mmap|/dev/shm':
        'a process that loads data was ended by the system, mostly because memory or shared '
        'memory (/dev/shm) ran out. Take fewer of them (--cfg-options '
        'train_dataloader.num_workers=1 val_dataloader.num_workers=1), or enlarge /dev/shm',
    r'No space left on device|Disk quota exceeded|File too large|file write failed|'
    r'unexpected pos \d+ vs':
        'the disk is full, or a file is larger than the system allows (ulimit -f). Free some '
        'space, or choose another place (--work-dir). --resume passes over a checkpoint that was '
        'cut off, and goes on from the one before',
    r'Expected more than 1 value per channel when training':
        'batch normalisation got one value for each channel, of one image: take '
        'train_dataloader.batch_size=2 or more for each process, or '
        'train_dataloader.drop_last=True where the last batch is one image',
    r'need at least one array to concatenate':
        'a data set is empty: no image was found, or none was kept. Check data_root (--data-root), '
        'data_prefix and ann_file, the endings of file names (img_suffix in mmseg) and what '
        'filter_cfg leaves out',
}


@contextmanager
def explained(args: argparse.Namespace, after_stop: Callable[[], str] = str) -> Iterator[None]:
    """End the process with a message on a known error (status 1) or Ctrl-C (130).

    Args:
        args: ``debug``, ``data_root`` of commands that read data, ``work_dir`` once it is known.
        after_stop: What to say after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        if os.environ.get('RANK', '0') == '0':
            print(f'\nStopped by Ctrl-C. {after_stop()}', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = None if args.debug else explain(error, 'data_root' in vars(args))
        if message is None:
            raise
        end = '' if message.endswith('?') else '.'
        where = '' if isinstance(error, UserError) else f' {keep_traceback(args)}'
        if isinstance(error, OF_USERS):
            end_restarts()
        sys.exit(f'\nError: {message}{end}{where}')


def keep_traceback(args: argparse.Namespace) -> str:
    """Write the current traceback into the work dir, if it is known, and say where it is."""
    work_dir = vars(args).get('work_dir')
    rank = os.environ.get('RANK', '0')
    suffix = '' if rank == '0' else f'_{rank}'
    if work_dir is not None:
        path = Path(work_dir, f'traceback{suffix}.txt')
        try:
            path.write_text(traceback.format_exc())
            return f"The traceback is in '{path}'."
        except OSError:
            pass  # the error may be just this: no disk, no permission
    return '(--debug shows the traceback.)'


def explain(error: Exception, of_data: bool = True) -> str | None:
    """The message for a known error, without the full stop; ``None`` for any other.

    Args:
        error: The error.
        of_data: True if the command reads data, so that a missing file may be of them.
    """
    text = message_of(error)
    if isinstance(error, UserError):
        return text.rstrip('.')
    for pattern, advice in ADVICE.items():
        if re.search(pattern, text):
            return f'{advice} ({type(error).__name__}: {text.strip().splitlines()[0].rstrip(".")})'
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, ModuleNotFoundError) and (message := missing_library(error)):
        return message
    if isinstance(error, ImportError):
        return (f'{text}. `vit-plugin doctor` shows what is installed, and what does not fit '
                'together')
    if isinstance(error, ConfigParsingError):
        return text
    if isinstance(error, KeyError):
        return explain_type(text)
    if isinstance(error, TypeError):
        return explain_arguments(text)
    if isinstance(error, OSError):
        return explain_file(error, text, of_data)
    return None


def message_of(error: Exception) -> str:
    """The error's own text, also of one that comes from a worker of a data loader."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if text.startswith('Caught ') and 'Original Traceback' in text:
        text = re.split(rf'\n(?:\w+\.)*{type(error).__name__}: ', text)[-1]
    return text.strip()


def explain_type(text: str) -> str | None:
    """The message for a ``type`` in the config that mmengine's registries do not have."""
    found = re.match(r'(\S+) is not in the (?:(\w+)::)?(.+?) registry', text)
    return missing_type(*found.groups()) if found else None


def explain_arguments(text: str) -> str | None:
    """The message for an argument in the config that its class does not have, or lacks."""
    text = text.split('. Did you mean ')[0]  # Python 3.13 has a suggestion of its own
    found = re.search(r'\b(\w+)\.__init__\(\) (got|missing) .*', text)
    if not found:
        return None
    known: set[str] = set()
    for _, classes in registered():
        if found[1] in classes:
            known.update(arguments_of(classes[found[1]]))
    wrong = re.search(r"unexpected keyword argument '(\w+)'", text)
    near = did_you_mean(wrong[1], known) if wrong else ''
    return f'arguments in the config are wrong: {found[0]}{near}'


def arguments_of(cls: type) -> set[str]:
    """Names of the arguments of a class and its bases, which ``**kwargs`` may pass on."""
    names: set[str] = set()
    for parent in inspect.getmro(cls)[:-1]:  # but object
        names.update(inspect.signature(parent).parameters)
    return names


def explain_file(error: OSError, text: str, of_data: bool) -> str | None:
    """The message for a file that is missing, and may be ``of_data``, or has no permission."""
    # An error that comes from a worker of a data loader has its text only.
    quoted = re.search(r"\[Errno \d+\] [^:]*: ('.+')", text)
    name = quoted[1] if quoted else text
    if error.filename:
        name = f"'{error.filename}'"
    if isinstance(error, FileNotFoundError):
        if not error.filename and 'No such file' not in text:
            return text
        advice = '. If it is of the data: --data-root DIR says where they are' if of_data else ''
        return f'there is no {name}{advice}'
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
                       errno.EEXIST):
        return f'{name} cannot be read or written ({error.strerror})'
    return None
