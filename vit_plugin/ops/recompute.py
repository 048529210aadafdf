"""Training that keeps less for the backward pass: GELU and layer norms are computed again."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.graph import saved_tensors_hooks

from vit_plugin.errors import UserError

from .mlp import linears

# Functions of autograd, by the names that torch gives them.
LAYER_NORM = 'NativeLayerNormBackward0'
VIEWS = ('ViewBackward0', 'UnsafeViewBackward0', 'ReshapeAliasBackward0')


def mlp(x: Tensor, layers: nn.Sequential) -> Tensor:
    """`vit_plugin.ops.mlp`, which keeps what goes into GELU and not what comes out."""
    first, second = linears(layers)
    out: Tensor = GELULinear.apply(first(x), second.weight, second.bias)
    return out


class GELULinear(Function):
    """``linear(gelu(x))`` of x (..., C) that keeps x alone, and computes its GELU twice.

    Equal to what it replaces in value and gradients, also the second ones.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(F.gelu(x), weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[object, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad, = grads
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.gelu_backward(grad @ weight.to(grad.dtype), x.to(grad.dtype))
        if ctx.needs_input_grad[1]:
            grad_weight = rows.T @ F.gelu(x).flatten(0, -2).to(grad.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = rows.sum(0)
        return grad_x, grad_weight, grad_bias


def saving(block: nn.Module) -> AbstractContextManager[None]:
    """A context for the call of a block, which keeps for the backward pass what torch keeps."""
    return nullcontext()


@contextmanager
def saving_no_norms(block: nn.Module) -> Iterator[None]:
    """`saving` that does not keep the outputs of the block's own layer norms.

    A norm keeps its input, from which the backward pass computes the output again, equal to the
    last bit. Whoever needs the output (a linear layer) then keeps the way to compute it.
    """
    norms = {norm.weight.data_ptr(): norm.eps for norm in block.children()
             if isinstance(norm, nn.LayerNorm) and norm.weight is not None}

    def pack(tensor: Tensor) -> Callable[[], Tensor]:
        return norm_again(tensor, norms) or note(tensor)

    with saved_tensors_hooks(pack, lambda saved: saved()):
        yield


def norm_again(out: Tensor, norms: dict[int, float]) -> Callable[[], Tensor] | None:
    """A function that computes ``out`` again; None unless it is the whole output of a known norm.

    Args:
        out: A tensor that autograd saves.
        norms: Address of the norm's weight -> its epsilon, which torch does not save.
    """
    node: Any = out.grad_fn  # what it saves has no type
    while node is not None and node.name() in VIEWS:
        node = node.next_functions[0][0]
    # A changed tensor has another version, or another function.
    if node is None or node.name() != LAYER_NORM or out._version or not out.is_contiguous():
        return None
    x, weight = node._saved_input, node._saved_weight
    if x is None or weight is None or weight.data_ptr() not in norms or x.numel() != out.numel():
        return None
    inputs = [note(x), note(weight), note(node._saved_bias)]
    shape, channels, eps = out.shape, node._saved_normalized_shape, norms[weight.data_ptr()]

    def again() -> Tensor:
        with torch.no_grad():
            x, weight, bias = (noted() for noted in inputs)
            return F.layer_norm(x, channels, weight, bias, eps).view(shape)

    return again


def note(tensor: Tensor | None) -> Callable[[], Any]:
    """A function that returns the tensor, if nobody has changed it in place by then.

    torch itself does not watch what hooks return. The function raises `UserError`.
    """
    if tensor is None:
        return lambda: None
    kept, version = tensor.detach(), tensor._version

    def unchanged() -> Tensor:
        if kept._version != version:
            raise UserError('a tensor that the backward pass needs, of shape '
                            f'{tuple(kept.shape)}, was changed in place after the forward pass')
        return kept

    return unchanged
