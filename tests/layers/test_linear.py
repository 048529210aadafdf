"""oneDNN's matrix product gives what torch's layer gives, and only where it may."""
import pytest
import torch
from torch import nn

import vit_plugin.layers.linear as linear_module
from vit_plugin.layers.linear import is_plain, linear


@pytest.fixture(autouse=True)
def _onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on processors where MKL's is as fast."""
    monkeypatch.setattr(linear_module, 'USES_ONEDNN', torch.backends.mkldnn.is_available())


@pytest.mark.parametrize('shape', [(5, 8), (2, 3, 4, 8), (0, 8)], ids=str)
@pytest.mark.parametrize('bias', [True, False])
def test_equals_the_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = nn.Linear(8, 6, bias), torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(linear(layer, x), layer(x))
        torch.testing.assert_close(linear(layer, x.transpose(0, -2)), layer(x.transpose(0, -2)))


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


def test_hooks_and_adapters_are_called() -> None:
    layer, seen = nn.Linear(8, 6), []
    assert is_plain(layer, nn.Linear)
    layer.register_forward_hook(lambda *args: seen.append(args))
    with torch.no_grad():
        linear(layer, torch.randn(5, 8))
    assert len(seen) == 1
    adapted = nn.utils.parametrizations.weight_norm(nn.Linear(8, 6))
    assert not is_plain(adapted, nn.Linear)
