"""Checkpoint files, written whole or not at all."""
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from vit_plugin.files import written_whole


def write_checkpoint(content: Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Write a ``.pth`` or, for a flat dict of tensors, a ``.safetensors`` file.

    The file appears under its name when it is complete, or not at all.
    """
    path = Path(path)
    with written_whole(path) as file:
        if path.suffix == '.safetensors':
            from safetensors.torch import save  # an optional library
            weights = {key: value.contiguous().clone() for key, value in content.items()}
            file.write(save(weights, metadata={'format': 'pt'}))
        else:
            torch.save(dict(content), file)
