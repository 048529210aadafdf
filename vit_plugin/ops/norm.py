"""Layer norms whose output is not kept for the backward pass."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from vit_plugin.errors import UserError

from .backends import allows, has_saving_hooks, is_observed

# A tensor, and how often it had been changed in place.
Noted = tuple[Tensor, int]


def recomputed_norm(out: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None,
                    eps: float) -> AbstractContextManager[None]:
    """A context whose operators do not keep ``out = layer_norm(x)`` for the backward pass.

    The norm keeps x, from which the backward pass computes out again, equal to the last bit.

    Args:
        out: (..., C).
        x: (..., C).
        weight: (C,) of the norm.
        bias: (C,) of the norm.
        eps: Of the norm.
    """
    if (torch.is_grad_enabled() and out.requires_grad and out.is_contiguous()
            and not is_observed(out) and allows('recompute') and not has_saving_hooks()):
        return recompute(out, x, weight, bias, eps)
    return nullcontext()


@contextmanager
def recompute(out: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
              ) -> Iterator[None]:
    """`recomputed_norm`, where it can be."""
    dtype, channels = out.dtype, out.shape[-1:]
    inputs = [None if tensor is None else note(tensor) for tensor in (x, weight, bias)]

    def again(shape: torch.Size) -> Tensor:
        x, weight, bias = (None if noted is None else unchanged(noted) for noted in inputs)
        assert x is not None
        with torch.no_grad():
            return F.layer_norm(x.to(dtype), channels, weight, bias, eps).view(shape)

    # Not a reference: autograd keeps the hooks.
    mark = memory_of(out)

    def pack(tensor: Tensor) -> Callable[[], Tensor]:
        if memory_of(tensor) == mark and tensor.is_contiguous():
            return partial(again, tensor.shape)
        return partial(unchanged, note(tensor))

    with saved_tensors_hooks(pack, lambda saved: saved()):
        yield


def memory_of(tensor: Tensor) -> tuple[int, int, int]:
    """Address, size and version: equal for a tensor and whole views of it, until one changes."""
    return tensor.data_ptr(), tensor.numel(), tensor._version


def note(tensor: Tensor) -> Noted:
    """A tensor and its version, for `unchanged`: torch does not watch what hooks return."""
    return tensor.detach(), tensor._version


def unchanged(noted: Noted) -> Tensor:
    """The tensor, if nobody has changed it in place."""
    tensor, version = noted
    if tensor._version != version:
        raise UserError('a tensor that the backward pass needs, of shape '
                        f'{tuple(tensor.shape)}, was changed in place after the forward pass')
    return tensor
