"""The multi-layer perceptron of a block."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .backends import TOKENS, allows, is_compiled_inference, is_observed
from .linear import linear, matmul


def mlp(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor,
        bias2: Tensor | None) -> Tensor:
    """``linear(gelu(linear(x)))`` of x (..., C), weight1 (hidden, C), weight2 (D, hidden)."""
    if not is_observed(x):
        if torch.is_grad_enabled() and allows('recompute'):
            return GELULinear.apply(linear(x, weight1, bias1), weight2, bias2)
        if not torch.is_grad_enabled() and x.device.type == 'cpu' and allows('cpu'):
            return in_groups(x, weight1, bias1, weight2, bias2)
    if is_compiled_inference(x):
        return compiled_mlp(x, weight1, bias1, weight2, bias2)
    return linear(F.gelu(linear(x, weight1, bias1)), weight2, bias2)


class GELULinear(Function):
    """``linear(gelu(x))`` of x (..., C) that keeps x alone, and computes its GELU twice.

    Equal to what it replaces in value and gradients, also the second ones.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return matmul(F.gelu(x), weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        grad, = grads
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.gelu_backward(
                matmul(grad, weight.to(grad.dtype).T), x.to(grad.dtype))
        if ctx.needs_input_grad[1]:
            grad_weight = rows.T @ F.gelu(x).flatten(0, -2).to(grad.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = rows.sum(0)
        return grad_x, grad_weight, grad_bias


def in_groups(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor,
              bias2: Tensor | None) -> Tensor:
    """`mlp` of `TOKENS` tokens at a time, whose hidden layer stays in the cache."""
    def compute(tokens: Tensor) -> Tensor:
        return matmul(torch.ops.aten.gelu_(matmul(tokens, weight1, bias1)), weight2, bias2)

    if x.numel() <= TOKENS * x.shape[-1]:
        return compute(x)
    groups = x.flatten(0, -2).split(TOKENS)
    first = compute(groups[0])
    out = first.new_empty(*x.shape[:-1], first.shape[-1])
    parts = out.view(-1, first.shape[-1]).split(TOKENS)
    parts[0].copy_(first)
    for group, part in zip(groups[1:], parts[1:]):
        part.copy_(compute(group))
    return out


@torch.library.custom_op('vit_plugin::mlp', mutates_args=())
def compiled_mlp(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor,
                 bias2: Tensor | None) -> Tensor:
    """`in_groups` as one operator, which torch.compile calls as it is."""
    return in_groups(x, weight1, bias1, weight2, bias2)


@compiled_mlp.register_fake
def _(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor, bias2: Tensor | None
      ) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight2.shape[0])
