"""The MLP by every back-end: the same values and gradients."""
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from vit_plugin.layers import FeedForward
from vit_plugin.ops import backend
from vit_plugin.ops.cpu.attention import TOKENS
from vit_plugin.ops.recompute import GELULinear


def doubles(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def test_gelu_linear() -> None:
    inputs = doubles((2, 3, 4), (5, 4), (5,))
    x, weight, bias = inputs
    assert torch.equal(GELULinear.apply(*inputs), F.linear(F.gelu(x), weight, bias))
    assert gradcheck(GELULinear.apply, inputs)
    assert gradgradcheck(GELULinear.apply, inputs)


@pytest.mark.parametrize('shape', [(3, 50, 43, 8), (2, 8), (0, 8), (2 * TOKENS, 8)], ids=str)
@pytest.mark.parametrize('bias', [True, False])
def test_every_way_gives_the_same(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    x, ffn = torch.randn(shape), FeedForward(8, 32)
    first, second = ffn.layers[0][0], ffn.layers[1]
    if not bias:
        first.bias = second.bias = None
    expected = second(F.gelu(first(x)))
    for names in (('reference',), ('cpu',), ('recompute',)):
        with backend(*names):
            torch.testing.assert_close(ffn(x), expected)
            with torch.no_grad():
                torch.testing.assert_close(ffn(x), expected)


def test_training_keeps_less() -> None:
    sizes = {}
    for name in ('reference', 'recompute'):
        saved: list[int] = []
        ffn = FeedForward(8, 32)
        with backend(name), torch.autograd.graph.saved_tensors_hooks(
                lambda x, saved=saved: saved.append(x.numel()) or x, lambda x: x):
            ffn(torch.randn(100, 8))
        sizes[name] = sum(saved)
    assert sizes['reference'] - sizes['recompute'] >= 100 * 32
