"""`vit_plugin.ops.mlp` on the CPU without gradients, in groups of tokens."""
from functools import partial

import torch
from torch import Tensor, nn

from ..attention import Map
from ..mlp import linears
from .products import TOKENS, linear, product


def mlp(x: Tensor, layers: nn.Sequential) -> Tensor:
    """`vit_plugin.ops.mlp` of a plain `FeedForward`; its hidden layer stays in the cache."""
    first, second = linears(layers)
    return in_groups(x, linear(first), linear(second))


def in_groups(x: Tensor, expand: Map, contract: Map) -> Tensor:
    """``contract(gelu(expand(x)))`` of `TOKENS` tokens at a time."""
    def compute(tokens: Tensor) -> Tensor:
        return contract(torch.ops.aten.gelu_(expand(tokens)))

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


def compiled_mlp(x: Tensor, layers: nn.Sequential) -> Tensor:
    """`mlp` as one operator."""
    first, second = linears(layers)
    out: Tensor = operator(x, first.weight, first.bias, second.weight, second.bias)
    return out


@torch.library.custom_op('vit_plugin::mlp', mutates_args=())
def operator(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor,
             bias2: Tensor | None) -> Tensor:
    """`mlp` of the weights (hidden, C) and (D, hidden), and the biases of the layers."""
    return in_groups(x, partial(product, weight=weight1, bias=bias1),
                     partial(product, weight=weight2, bias=bias2))


@operator.register_fake
def like(x: Tensor, weight1: Tensor, bias1: Tensor | None, weight2: Tensor, bias2: Tensor | None
         ) -> Tensor:
    """An empty tensor, of the shape of the result."""
    return x.new_empty(*x.shape[:-1], weight2.shape[0])
