"""Weights that are NaN or infinite."""
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from vit_plugin.errors import shorten

from .errors import CheckpointError


def check_finite(weights: Mapping[str, object], names: Iterable[str]) -> None:
    """Raise `UserError` if weights of these names are NaN or infinite; absent ones are left out."""
    wrong = [name for name in names if name in weights and not is_finite(weights[name])]
    if wrong:
        raise CheckpointError(f'NaN or infinite: {shorten(wrong)}. A training that has diverged '
                              'leaves such weights; take a checkpoint from before')


def names_of(model: nn.Module) -> list[str]:
    """Parameters of a model, and running statistics; other buffers need not be finite.

    A mask is -inf where nothing is seen.
    """
    running = [name for name, _ in model.named_buffers() if '.running_' in name]
    return [name for name, _ in model.named_parameters()] + running


def is_finite(value: object) -> bool:
    """True for a tensor of finite numbers, and for whatever has none."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_meta:
        return True
    return bool(torch.isfinite(value.float()).all())
