"""Linear layers in float32 by oneDNN, where torch's own products leave the CPU's AVX-512 unused.

On AMD's processors torch takes MKL's products, which use AVX2 there.
"""
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from ..attention import Map

# How many tokens the back-ends take at a time: 32 windows of 7x7; with 96 channels the hidden layer
# of an MLP then takes 2 MB.
TOKENS = 1568


def linear(layer: nn.Linear) -> Map:
    """`vit_plugin.ops.linear` of a plain layer."""
    compute = Linear.apply if torch.is_grad_enabled() else product
    return lambda x: compute(x, layer.weight, layer.bias)  # torch 2.4 knows no keywords here


class Linear(Function):
    """``F.linear`` by `product`, which is not faster for the weight's gradient."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad, = grads
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = product(grad, weight.T) if ctx.needs_input_grad[0] else None
        grad_weight = rows.T @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, rows.sum(0) if ctx.needs_input_grad[2] else None


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``, by oneDNN where `is_faster` and no derivative is asked for."""
    if torch.is_grad_enabled() or not is_faster(x):
        return F.linear(x, weight, bias)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')
    return out


def is_faster(x: Tensor) -> bool:
    """True for float32 on a CPU with AVX-512 that is not Intel's."""
    return (x.dtype == torch.float32 and x.device.type == 'cpu' and leaves_avx512_unused()
            and not torch.is_autocast_enabled('cpu'))


@lru_cache
def leaves_avx512_unused() -> bool:
    """True where torch's own products, which are MKL's, do not use the CPU's AVX-512."""
    cpuinfo = Path('/proc/cpuinfo')
    name = cpuinfo.read_text() if cpuinfo.is_file() else platform.processor()
    return (torch.backends.mkldnn.is_available() and 'GenuineIntel' not in name
            and torch.backends.cpu.get_cpu_capability().startswith('AVX512'))


@lru_cache
def multiplies_bfloat16() -> bool:
    """True on a CPU with AVX-512's products of bfloat16; False as well where torch < 2.9 runs."""
    capabilities: dict[str, object] = getattr(torch.cpu, 'get_capabilities', dict)()
    return bool(capabilities.get('avx512_bf16'))
