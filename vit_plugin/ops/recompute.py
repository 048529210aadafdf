"""Training that keeps less for the backward pass: GELU and layer norms are computed again."""
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.graph import saved_tensors_hooks

from vit_plugin.errors import UserError

from .cpu.products import TOKENS, product
from .mlp import linears

# Functions of autograd, by the names that torch gives them.
LAYER_NORM = 'NativeLayerNormBackward0'
VIEWS = ('ViewBackward0', 'UnsafeViewBackward0', 'ReshapeAliasBackward0')


def mlp(x: Tensor, layers: nn.Sequential) -> Tensor:
    """`vit_plugin.ops.mlp`, which keeps what goes into GELU and not what comes out."""
    first, second = linears(layers)
    out: Tensor = MLP.apply(x, first.weight, first.bias, second.weight, second.bias)
    return out


class MLP(Function):
    """``linear(gelu(linear(x)))``, whose GELU is computed twice, for some tokens at a time.

    Inputs are x (..., C), and weight and bias of both layers, C -> hidden and hidden -> D.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor,
                bias2: Tensor | None) -> Tensor:
        hidden = product(x.flatten(0, -2), weight1, bias1)
        ctx.save_for_backward(x, weight1, bias1, weight2, bias2, hidden)
        out = [product(F.gelu(part), weight2, bias2) for part in hidden.split(group_size(hidden))]
        return torch.cat(out).view(*x.shape[:-1], len(weight2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, hidden = ctx.saved_tensors
        if torch.is_grad_enabled():
            return gradients(plain_mlp, inputs, grads, ctx.needs_input_grad)
        return mlp_backward(grads[0], inputs, hidden, ctx.needs_input_grad)


def plain_mlp(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor,
              bias2: Tensor | None) -> Tensor:
    """The formula of `MLP`."""
    return F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)


def mlp_backward(grad: Tensor, inputs: Sequence[Any], hidden: Tensor,
                 needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """Gradients of `MLP` to its inputs, given that to its result; None where none is needed.

    Args:
        grad: (..., D).
        inputs: Those of `MLP`.
        hidden: (tokens, hidden), what goes into GELU. Its type is that of the products.
        needed: For each input.
    """
    x, weight1, bias1, weight2, bias2 = inputs
    x, weight1, weight2 = (tensor.to(hidden.dtype) for tensor in (x, weight1, weight2))
    tokens, grad = x.flatten(0, -2), grad.flatten(0, -2)
    to_x, to_weight1, to_bias1, to_weight2, to_bias2 = (
        torch.zeros_like(tensor) if tensor is not None and need else None
        for tensor, need in zip((tokens, weight1, bias1, weight2, bias2), needed))
    for start in range(0, len(tokens), group_size(hidden)):
        group = slice(start, start + group_size(hidden))
        rows, before = grad[group], hidden[group]
        if to_weight2 is not None:
            to_weight2.addmm_(rows.T, F.gelu(before))
        if to_bias2 is not None:
            to_bias2 += rows.sum(0)
        grad_hidden = torch.ops.aten.gelu_backward(product(rows, weight2.T), before)
        if to_weight1 is not None:
            to_weight1.addmm_(grad_hidden.T, tokens[group])
        if to_bias1 is not None:
            to_bias1 += grad_hidden.sum(0)
        if to_x is not None:
            to_x[group] = product(grad_hidden, weight1.T)
    return (None if to_x is None else to_x.view_as(x), to_weight1, to_bias1, to_weight2, to_bias2)


def group_size(x: Tensor) -> int:
    """How many of the tokens (N, C) are taken at a time: on the CPU, those that fit the cache.

    All in half precision, in which sums over groups would be rounded.
    """
    precise = x.dtype in (torch.float32, torch.float64)
    return TOKENS if precise and x.device.type == 'cpu' else max(1, len(x))


def gradients(function: Callable[..., Tensor], inputs: Sequence[Any], grads: Sequence[Tensor],
              needed: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """Gradients of a function to its inputs that have gradients themselves; None if not needed."""
    wanted = [x for x, need in zip(inputs, needed) if need]
    found = iter(torch.autograd.grad(function(*inputs), wanted, grads, create_graph=True))
    return tuple(next(found) if need else None for need in needed)


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
