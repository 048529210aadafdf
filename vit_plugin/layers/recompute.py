"""Training that keeps less: what is cheap to compute again in the backward pass is not kept.

Both functions equal what they replace, in value and in gradient, also in the second derivative.
"""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .linear import product


class GELULinear(Function):
    """``linear(gelu(x))`` of x (..., C) that keeps x alone."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(F.gelu(x), weight, bias)

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
                product(grad, weight.to(grad.dtype).T), x.to(grad.dtype))
        if ctx.needs_input_grad[1]:
            grad_weight = rows.T @ F.gelu(x).flatten(0, -2).to(grad.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = rows.sum(0)
        return grad_x, grad_weight, grad_bias


class BiasedAttention(Function):
    """``scaled_dot_product_attention`` with a bias that is learnt, keeping no scores.

    q, k, v (B, heads, N, C) and bias (1, heads, N, N) -> (B, heads, N, C). In torch 2.13 a bias
    that needs a gradient takes the attention on the CPU to its slowest implementation.
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        # Half precision would overflow where the fused implementation does not.
        inputs = ctx.saved_tensors
        precise = torch.promote_types(inputs[0].dtype, torch.float32)
        q, k, v, bias, grad = (x.to(precise) for x in (*inputs, *grads))
        q = q * q.shape[-1]**-0.5
        weights = (q @ k.mT + bias).softmax(-1)
        grad_weights = grad @ v.mT
        grad_scores = weights * (grad_weights - (grad_weights * weights).sum(-1, keepdim=True))
        found = (grad_scores @ k * q.shape[-1]**-0.5, grad_scores.mT @ q, weights.mT @ grad,
                 grad_scores.sum(0, keepdim=True))
        return tuple(x.to(like.dtype) for x, like in zip(found, inputs))
