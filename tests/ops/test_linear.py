"""oneDNN's matrix product gives what torch's layer gives, and only where it may."""
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from vit_plugin.layers.plain import linear
from vit_plugin.ops import backend, backends


@pytest.fixture(autouse=True)
def _onednn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also on processors where MKL's is as fast."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip('torch was built without oneDNN')
    monkeypatch.setattr(backends, 'why_not', lambda name: None)
    with backend('onednn'):
        yield


@pytest.mark.parametrize('shape', [(5, 8), (2, 3, 4, 8), (0, 8)], ids=str)
@pytest.mark.parametrize('bias', [True, False])
def test_equals_the_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = nn.Linear(8, 6, bias), torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(linear(layer, x), layer(x))
        torch.testing.assert_close(linear(layer, x.transpose(0, -2)), layer(x.transpose(0, -2)))


@pytest.mark.parametrize('bias', [True, False])
def test_gradients_equal_the_layers(bias: bool) -> None:
    """Also those of gradients, which oneDNN's product does not have."""
    layer, x = nn.Linear(8, 6, bias), torch.randn(2, 3, 8, requires_grad=True)
    inputs = [x, *layer.parameters()]
    first = [torch.autograd.grad(f(x).pow(3).sum(), inputs, create_graph=True)
             for f in (layer, lambda x: linear(layer, x))]
    for expected, found in zip(*first):
        torch.testing.assert_close(found, expected)
    second = [torch.autograd.grad(sum(g.pow(2).sum() for g in grads), inputs, allow_unused=True)
              for grads in first]
    for expected, found in zip(*second):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    plain = torch.autograd.grad(linear(layer, x).pow(3).sum(), inputs)
    for expected, found in zip(first[0], plain):
        torch.testing.assert_close(found, expected.detach())


def test_frozen_weights_get_no_gradient() -> None:
    layer, x = nn.Linear(8, 6), torch.randn(5, 8, requires_grad=True)
    layer.requires_grad_(False)
    linear(layer, x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(5, -1))
    assert layer.weight.grad is None


def test_weights_may_change() -> None:
    layer, x = nn.Linear(8, 6), torch.randn(5, 8)
    with torch.no_grad():
        linear(layer, x)
        layer.weight.zero_()
        torch.testing.assert_close(linear(layer, x), layer.bias.expand(5, -1))


def test_precision_is_that_of_the_layer() -> None:
    layer, x = nn.Linear(8, 6), torch.randn(5, 8)
    with torch.no_grad():
        with torch.autocast('cpu', torch.bfloat16):
            assert linear(layer, x).dtype == torch.bfloat16
        assert linear(layer.double(), x.double()).dtype == torch.float64
