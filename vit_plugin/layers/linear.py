"""Linear layers on the CPU by the faster of two libraries."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from .paths import Path, choose_path

# torch takes MKL's matrix products, which leave AVX-512 unused on AMD's processors; oneDNN's use
# it. Without AVX-512 MKL's are as fast or faster.
USES_ONEDNN = (torch.backends.mkldnn.is_available()
               and torch.backends.cpu.get_cpu_capability() == 'AVX512')


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)`` of x (..., C)."""
    path = choose_path(x)
    if path in (Path.CPU, Path.TRAINING) and is_plain(layer, nn.Linear):
        weight: Any = layer.weight
        bias: Any = layer.bias
        if fits_onednn(x, weight):
            return product(x, weight, bias) if path is Path.CPU else Linear.apply(x, weight, bias)
    return layer(x)


class Linear(Function):
    """``F.linear`` whose products are `product`."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        grad, = grads
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = product(grad, weight.T) if ctx.needs_input_grad[0] else None
        grad_weight = rows.T @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, rows.sum(0) if ctx.needs_input_grad[2] else None


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``, by oneDNN where it is faster and no derivative is asked for."""
    if fits_onednn(x, weight) and not torch.is_grad_enabled():
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')
    return F.linear(x, weight, bias)


def fits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's product gives what torch's does, and faster."""
    return (USES_ONEDNN and x.device.type == 'cpu' and x.dtype == weight.dtype == torch.float32
            and not torch.is_autocast_enabled('cpu'))


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer does no more than its type says: no adapter, hook or quantised weight."""
    return (type(module) is kind and not module._forward_hooks and not module._forward_pre_hooks
            and all(type(p) is nn.Parameter for p in module.parameters(recurse=False)))
