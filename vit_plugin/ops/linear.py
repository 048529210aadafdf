"""Matrix products of linear layers."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .backends import allows, is_observed


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of x (..., C), weight (D, C) and bias (D,) -> (..., D)."""
    if not fits_onednn(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled():
        return OneDNNLinear.apply(x, weight, bias)
    return matmul(x, weight, bias)


class OneDNNLinear(Function):
    """``F.linear`` whose products are `matmul`; of the weight's gradient it is not faster."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return matmul(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        grad, = grads
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = matmul(grad, weight.T) if ctx.needs_input_grad[0] else None
        grad_weight = rows.T @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, rows.sum(0) if ctx.needs_input_grad[2] else None


def matmul(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``, by oneDNN where it is allowed, fits, and no derivative is asked for.

    torch takes MKL's products, which leave AVX-512 unused on AMD's processors.
    """
    if not torch.is_grad_enabled() and fits_onednn(x, weight):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')
    return F.linear(x, weight, bias)


def fits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's product may stand for torch's."""
    return (not is_observed(x) and allows('onednn') and x.device.type == 'cpu'
            and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled('cpu'))
