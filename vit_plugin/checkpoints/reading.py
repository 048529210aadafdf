"""Checkpoint files as data, never as code."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

# The logged scalars that mmengine keeps in its own checkpoints, beside tensors.
MMENGINE_GLOBALS: list[Any] = [
    HistoryBuffer, getattr, np.ndarray, np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType,
    np.zeros(0).__reduce__()[0],  # numpy's _reconstruct, whose module moved in numpy 2
    np.float64(0).__reduce__()[0],
]


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Read the weights of a checkpoint file or address (``https://...``) to the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, needs code to be read, or holds no weights.
    """
    try:
        with _mmengine_globals():
            if path.startswith(('http://', 'https://')):
                content = torch.hub.load_state_dict_from_url(
                    path, map_location='cpu', weights_only=True)
            elif Path(path).is_file():
                content = torch.load(path, map_location='cpu', weights_only=True)
            else:
                raise FileNotFoundError(f"there is no checkpoint '{path}'")
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"cannot read the checkpoint '{path}': {error}") from error
    for key in ('state_dict', 'model'):
        content = content.get(key, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not any(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"'{path}' holds no weights: found {type(content).__name__}")
    return content


@contextmanager
def _mmengine_globals() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(MMENGINE_GLOBALS)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
