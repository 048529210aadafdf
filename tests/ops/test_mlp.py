"""The MLP by every back-end: the same values and gradients."""
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from vit_plugin.layers import FeedForward
from vit_plugin.ops import backend
from vit_plugin.ops.cpu.products import TOKENS
from vit_plugin.ops.recompute import MLP


def doubles(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def test_gradients_that_are_computed_again() -> None:
    inputs = doubles((2, 3, 4), (6, 4), (6,), (5, 6), (5,))
    x, weight1, bias1, weight2, bias2 = inputs
    expected = F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)
    torch.testing.assert_close(MLP.apply(*inputs), expected)
    assert gradcheck(MLP.apply, inputs)
    assert gradgradcheck(MLP.apply, inputs)


@pytest.mark.parametrize('frozen', range(5))
def test_gradients_of_many_tokens(frozen: int) -> None:
    inputs = doubles((TOKENS + 7, 4), (6, 4), (6,), (5, 6), (5,))
    inputs[frozen].requires_grad_(False)
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    x, weight1, bias1, weight2, bias2 = inputs
    expected = F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)
    grad = torch.randn_like(expected)
    torch.testing.assert_close(torch.autograd.grad(MLP.apply(*inputs), wanted, grad),
                               torch.autograd.grad(expected, wanted, grad))


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
                lambda x, saved=saved: saved.append(x.numel() * (len(x) == 100)) or x, lambda x: x):
            ffn(torch.randn(100, 8))
        sizes[name] = sum(saved)
    assert sizes['reference'] - sizes['recompute'] >= 100 * 32
