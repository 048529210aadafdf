"""Writing weights."""
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch


def write_checkpoint(content: Mapping[str, Any], path: str | PathLike) -> None:
    """Write a ``.pth`` or, for a flat dict of tensors, a ``.safetensors`` file.

    The file appears under its name when it is complete, or not at all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f'.{path.name}.', delete=False) as file:
        temporary = Path(file.name)
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import save_file  # an optional library
            save_file({key: value.contiguous().clone() for key, value in content.items()},
                      temporary, metadata={'format': 'pt'})
        else:
            torch.save(dict(content), temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # temporary files are private
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
