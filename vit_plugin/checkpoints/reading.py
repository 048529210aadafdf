"""Checkpoint files as data, never as code."""
import re
import zlib
from collections.abc import Mapping, MutableMapping
from functools import partial
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeAlias

import torch
from mmengine.logging import print_log
from torch import Tensor

from .errors import CheckpointError
from .expansion import check_expansion
from .files import find_weights, identify, is_script, read_shards
from .safe_globals import safe_globals

# What torch's unpickler says of code, in contrast to damage.
NEEDS_CODE = re.compile(
    'Unsupported (global|class)|is blocked|unrecognized function|Can only|Cannot use ``weights_')
ASKED_FOR = re.compile(r'GLOBAL (\S+)')
# Where weights lie in a file, by precedence.
# As in `torch.load`; mmengine's loaders may pass None.
Location: TypeAlias = torch.device | str | None
NESTED_UNDER = ('state_dict', 'model', 'model_ema', 'state_dict_ema', 'module')


def read_state_dict(path: str | PathLike[str], trust: bool = False) -> dict[str, Tensor]:
    """Read the weights of a ``.pth``, ``.pt``, ``.bin`` or ``.safetensors`` file to the CPU.

    Args:
        path: A file, folder or address, see `read_checkpoint`.
        trust: See `read_checkpoint`.

    Returns:
        The weights, taken out of whatever they are nested in (``state_dict``, ``model``,
        ``model_ema`` ..., in this order) and without ``module.`` in front of their names. Several
        models side by side (DINO's ``student`` and ``teacher``) keep their names in front.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file is damaged, needs code to be read, or holds no
            weights.
    """
    return take_weights(read_checkpoint(path, trust=trust), path)


def take_weights(content: object, path: str | PathLike[str]) -> dict[str, Tensor]:
    """The weights in what `read_checkpoint` has read from ``path``; see `read_state_dict`."""
    try:
        return weights_of(content, f"'{path}'")
    except CheckpointError as error:
        raise CheckpointError(f"no weights can be taken from '{path}': {error}") from error


def read_checkpoint(path: str | PathLike[str], map_location: Location = 'cpu',
                    trust: bool = False) -> Any:
    """Read all that a checkpoint file holds: weights, optimizer, logs ....

    Args:
        path: A file; the index of one in parts (``*.index.json``); a folder in which Hugging Face
            saved a model; or an address (``https://...``), which is downloaded to torch hub's
            folder.
        map_location: Where its tensors go, as in `torch.load`.
        trust: Run the code that the file may bring. Otherwise it is read as data: tensors, plain
            Python and NumPy values, and what mmengine's runner stores.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file is damaged, or needs code to be read.
    """
    file = download(str(path)) if str(path).startswith(('http://', 'https://')) else Path(path)
    file = find_weights(file.expanduser())
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint '{path}'")
    try:
        if file.suffix == '.json':
            return read_shards(file, partial(read_file, map_location=map_location, trust=trust))
        return read_file(file, map_location, trust)
    except ImportError:
        raise
    except CheckpointError as error:
        raise CheckpointError(f"cannot read the checkpoint '{path}': {error}") from error
    except Exception as error:  # a damaged pickle or archive can raise almost anything
        raise CheckpointError(f"cannot read the checkpoint '{path}': "
                              f'{explain(error, file, trust)}') from error


def explain(error: Exception, file: Path, trust: bool) -> str:
    """The reason why a file cannot be read: another format, code, or damage."""
    foreign = identify(file)
    if foreign is not None:
        return foreign
    # torch wraps the unpickler's reason in advice to read the file unsafely
    reason = error.__context__ if isinstance(error, UnpicklingError) else None
    message = str(reason or error).split('\n')[0][:300]
    if trust or not NEEDS_CODE.search(message):
        return f'it is damaged, or no checkpoint ({type(error).__name__}: {message})'
    asked = ASKED_FOR.search(message)
    code = asked[1] if asked else message
    return (f'reading it would run code ({code}), which files from outside must not. If you trust '
            'it, add --trust-checkpoint to the command that names it, or convert it where that is '
            'safe: content = torch.load(path, weights_only=False), then '
            "torch.save(dict(state_dict=content['model']), new_path)")


def weights_of(content: object, source: str = 'a state dict') -> dict[str, Tensor]:
    """Take the weights out of a file's content; see `read_state_dict`."""
    for _ in range(2):  # mmengine's EMA and some trainers nest twice
        content = unnest(content, source)
    if not isinstance(content, MutableMapping):
        raise CheckpointError(f'found {type(content).__name__}, not a dict of tensors')
    weights = {}
    for key, value in side_by_side(content).items():
        if isinstance(key, str) and isinstance(value, Tensor):
            weights[key.removeprefix('module.')] = check_tensor(key, value)
        elif isinstance(key, str) and '.' in key and value is not None:
            raise CheckpointError(f"'{key}' is no tensor, but {type(value).__name__}")
    if not weights:
        raise CheckpointError(f'found no tensors under {[str(key) for key in content][:5]}')
    return weights


def unnest(content: object, source: str) -> object:
    """The content under the first of `NESTED_UNDER`; log which other weights lie beside it."""
    if not isinstance(content, MutableMapping):
        return content
    models = {key: value for key, value in content.items() if isinstance(value, MutableMapping)}
    taken = [key for key in NESTED_UNDER if key in models]
    if not taken:
        return content
    names = without_module(models.pop(taken[0]))
    beside = [key for key, model in models.items() if names & without_module(model)]
    if beside:
        print_log(f"{source}: the weights under '{taken[0]}' are taken, not those under {beside}. "
                  'To take others, save them alone: torch.save(content[KEY], NEW_PATH)', 'current')
    return content[taken[0]]


def without_module(model: MutableMapping[object, object]) -> set[str]:
    """The names of a model's tensors without the ``module.`` of parallel training."""
    return {str(name).removeprefix('module.') for name, value in model.items()
            if isinstance(value, Tensor)}


def side_by_side(content: MutableMapping[object, object]) -> Mapping[object, object]:
    """``{'student': {name: tensor}, 'teacher': ...}`` as ``{'student.' + name: tensor, ...}``.

    A content with tensors of its own stays as it is.
    """
    models = {key: value for key, value in content.items()
              if isinstance(key, str) and isinstance(value, MutableMapping)}
    weights: dict[object, object] = {}
    for key, model in models.items():
        for name, value in model.items():
            if isinstance(name, str) and isinstance(value, Tensor):
                weights[f"{key}.{name.removeprefix('module.')}"] = value
    has_own = any(isinstance(value, Tensor) for value in content.values())
    return content if has_own or not weights else weights


def check_tensor(key: str, value: Tensor) -> Tensor:
    """Refuse tensors that are no plain dense arrays, or larger than what the file holds."""
    if value.layout is not torch.strided or value.is_quantized or value.is_complex():
        raise CheckpointError(f"'{key}' is no dense real tensor: {value.layout}, {value.dtype}")
    if value.is_meta or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise CheckpointError(f"'{key}' has the shape {tuple(value.shape)}, but holds less data")
    return value.detach()


def read_file(file: Path, map_location: Location, trust: bool) -> Any:
    """The content of one file; may raise almost anything."""
    if file.suffix == '.safetensors':
        from safetensors.torch import load_file  # an optional library
        return load_file(file, device=str(map_location or 'cpu'))
    if trust:
        return torch.load(file, map_location, weights_only=False)
    if is_script(file):  # torch 2.4 would load the program
        raise UnpicklingError('TorchScript')
    check_expansion(file)
    with safe_globals():
        return torch.load(file, map_location, weights_only=True)


def download(url: str) -> Path:
    """Download into torch hub's folder, unless it is there; torch renames the finished file."""
    address, _, _ = url.partition('?')
    name = address.rsplit('/', 1)[-1]
    if not re.search(r'-[0-9a-f]{8,}\.', name):  # of the content, as in torch hub's names
        name = f'{zlib.crc32(address.encode()):08x}_{name}'  # every model.safetensors is another
    file = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(file), progress=True)
        except OSError as error:
            raise CheckpointError(
                f"cannot download '{url}': {error}. Without a network, bring the file here and "
                "name it instead (init_cfg=dict(checkpoint='FILE')), or put it at "
                f"'{file}'") from error
    return file
