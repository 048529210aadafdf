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

import mmengine.registry
from mmengine.config.utils import ConfigParsingError

from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.toolkits import missing_library

# What libraries say -> what it means, and what to do.
ADVICE = {
    r'out of memory|not enough memory|can.t allocate memory':
        'out of memory. Take a smaller batch (--cfg-options train_dataloader.batch_size=N; '
        'optim_wrapper.accumulative_counts=M makes M of them one step), mixed precision (--amp), '
        'recomputation (model.backbone.with_cp=True) or smaller images',
    r'DataLoader worker .*(killed by signal|exited unexpectedly)|unable to mmap|/dev/shm':
        'a process that loads data was ended by the system, mostly because memory or shared '
        'memory (/dev/shm) ran out. Take fewer of them (--cfg-options '
        'train_dataloader.num_workers=1 val_dataloader.num_workers=1), or enlarge /dev/shm',
    r'No space left on device|Disk quota exceeded|file write failed|unexpected pos \d+ vs':
        'the disk is full. Free some space, or choose another place (--work-dir). --resume passes '
        'over a checkpoint that was cut off, and goes on from the one before',
    r'device-side assert|Target -?\d+ is out of bounds':
        'a label does not fit the model: it is negative, or num_classes of a head is too small. '
        'On a GPU, CUDA_LAUNCH_BLOCKING=1 and --debug show where',
    r'need at least one array to concatenate':
        'a data set is empty: no image was found, or none was kept. Check data_root (--data-root), '
        'data_prefix and ann_file, the endings of file names (img_suffix in mmseg) and what '
        'filter_cfg leaves out',
    r'AmpOptim\w+`* is only available':
        'the config trains in mixed precision on a GPU (AmpOptimWrapper), and torch finds none. '
        'Add --amp, which takes bfloat16 without a GPU as well',
    r'BFloat16':
        'a part of the model does not compute in bfloat16. Take --amp float16, or, for a detector, '
        'the Float32 parts of the plugin, which configs/_base_/detection has',
    r'SyncBatchNorm expected input tensor to be on':
        'SyncBN works on GPUs alone. On several CPU processes, replace it in the config: '
        "norm_cfg=dict(type='BN')",
    r'end should be larger than begin':
        'the training is not longer than its warm-up, so that the learning rate has no schedule. '
        'Shorten the warm-up as well: --cfg-options param_scheduler.0.end=1 '
        'param_scheduler.1.begin=1 (epochs or iterations, as the config counts), for a training '
        'of 2 or more',
    r'could be decompression bomb':
        'an image is larger than what Pillow reads without being told to, since a small file could '
        'fill the memory. Make it smaller, or, if you trust it, load images with '
        "dict(type='vit_plugin.LoadImage', max_pixels=N), and label maps with "
        "imdecode_backend='cv2' of LoadAnnotations",
    r'failed to load image':
        'an image is damaged, or no image: take it out of the data, or replace it',
    r'loaded state dict (contains|has) ':
        'the checkpoint is of another model or optimizer, so that its training cannot go on here. '
        'Resume with the config it was trained with, or start from its weights alone: '
        '--cfg-options load_from=CHECKPOINT',
    r'PytorchStreamReader failed|invalid load key|pickle data was truncated|Ran out of input':
        'a checkpoint is damaged, or no checkpoint. --resume without a value takes the newest '
        'whole one of the work dir',
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
        sys.exit(f'\nError: {message}{end}{where}')


def keep_traceback(args: argparse.Namespace) -> str:
    """Write the current traceback into the work dir, if it is known, and say where it is."""
    work_dir = vars(args).get('work_dir')
    rank = os.environ.get('RANK', '0')
    if work_dir is not None:
        path = Path(work_dir, 'traceback.txt' if rank == '0' else f'traceback_{rank}.txt')
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
        of_data: Whether the command reads data, so that a missing file may be of them.
    """
    if isinstance(error, TypeError) and isinstance(error.__context__, TypeError):
        error = error.__context__  # mmengine raises a hook's again, without its traceback
    text = message_of(error)
    if isinstance(error, UserError):
        return text.rstrip('.')
    for pattern, advice in ADVICE.items():
        if re.search(pattern, text):
            return f'{advice} ({type(error).__name__}: {text.strip().splitlines()[0].rstrip(".")})'
    if isinstance(error, MemoryError):
        return ADVICE[next(iter(ADVICE))]
    if isinstance(error, ModuleNotFoundError) and (message := missing_library(error)):
        return message
    if isinstance(error, ImportError):
        return (f'{text}. `vit-plugin doctor` shows what is installed, and what does not fit '
                'together')
    if isinstance(error, ConfigParsingError):
        return text
    if isinstance(error, KeyError):
        return explain_key(error)
    if isinstance(error, TypeError):
        return explain_arguments(error, text)
    if isinstance(error, OSError):
        return explain_file(error, text, of_data)
    return None


def message_of(error: Exception) -> str:
    """The error's own text, also of one that comes from a worker of a data loader."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if text.startswith('Caught ') and 'Original Traceback' in text:
        text = re.split(rf'\n(?:\w+\.)*{type(error).__name__}: ', text)[-1]
    return text.strip()


def explain_key(error: KeyError) -> str | None:
    """A misspelt ``type``, a COCO file that lacks something, or a checkpoint that does."""
    found = re.match(r'(\S+) is not in the (?:(\w+)::)?(.+?) registry', message_of(error))
    if found:
        return missing_type(*found.groups())
    last = traceback.extract_tb(error.__traceback__)[-1]
    if 'coco' in Path(last.filename).name and error.args[0] in ('area', 'iscrowd', 'bbox', 'height',
                                                                'width'):
        return (f"a COCO file has entries without '{error.args[0]}'. type='vit_plugin.CocoDataset' "
                "of the data set and type='vit_plugin.CocoMetric' of the evaluator fill in what "
                'follows from the rest')
    if error.args == ('meta',) and last.name == 'resume':
        return ('the checkpoint holds weights alone, so that no training can go on from it. Start '
                'from its weights instead of --resume: --cfg-options load_from=CHECKPOINT')
    return None


def missing_type(name: str, scope: str | None, registry: str) -> str:
    """The message for a ``type`` that is in no registry of the kind."""
    known: list[str] = []
    for root in vars(mmengine.registry).values():
        if isinstance(root, mmengine.registry.Registry) and root.name == registry:
            known += root.module_dict
            for child in list(root.children.values()):  # an import may add some
                if child.scope in (scope, 'vit_plugin'):  # importing all toolkits takes long
                    child.import_from_location()
                    prefix = '' if child.scope == scope else f'{child.scope}.'
                    known += [prefix + key for key in child.module_dict]
    return (f"the config asks for type='{name}', but there is no such {registry}"
            + did_you_mean(name, known, without_scope))


def without_scope(name: str) -> str:
    """``'vit_plugin.DeiT'`` -> ``'deit'``."""
    return name.rsplit('.', 1)[-1].lower()


def explain_arguments(error: TypeError, text: str) -> str | None:
    """An argument in a config that its class does not have, or one that is missing."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in frames:
        if frame.f_locals.get('optimizer_cls', text) is None:  # mmengine does not look at it
            return missing_type(frame.f_locals['optimizer_cfg']['type'], None, 'optimizer')
    text = text.split('. Did you mean ')[0]  # Python 3.13 has a suggestion of its own
    found = re.match(r'(\w+)\.__init__\(\) (got|missing) ', text)
    if not found:
        return None
    values = [*frames[-1].f_locals.values(), *frames[-1].f_globals.values()]
    known = [name for cls in values if inspect.isclass(cls) and cls.__name__ == found[1]
             for parent in inspect.getmro(cls) if parent is not object
             for name in inspect.signature(parent).parameters]
    wrong = re.search(r"unexpected keyword argument '(\w+)'", text)
    return (f'arguments in the config are wrong: {text}'
            + (did_you_mean(wrong[1], known) if wrong else ''))


def explain_file(error: OSError, text: str, of_data: bool) -> str | None:
    """A file that is missing, and may be ``of_data``, or that may not be read or written."""
    # An error that comes from a worker of a data loader has its text only.
    quoted = re.search(r"\[Errno \d+\] [^:]*: ('.+')", text)
    name = f"'{error.filename}'" if error.filename else quoted[1] if quoted else text
    if isinstance(error, FileNotFoundError):
        if not error.filename and 'No such file' not in text:
            return text
        advice = '. If it is of the data: --data-root DIR says where they are' if of_data else ''
        return f'there is no {name}{advice}'
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
                       errno.EEXIST):
        return f'{name} cannot be read or written ({error.strerror})'
    return None
