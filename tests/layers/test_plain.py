"""A layer's operator stands for its call only where nobody can tell."""
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from vit_plugin.layers import FeedForward
from vit_plugin.layers.plain import is_plain


def patch(layer: nn.Module) -> nn.Module:
    layer.forward = lambda x: x  # type: ignore[method-assign]
    return layer


class Adapted(nn.Linear):
    """A layer that does more than its weights say, as LoRA's do."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


class Quantised(Tensor):
    """A weight that is no plain tensor."""


def quantise(layer: nn.Linear) -> nn.Module:
    layer.weight = nn.Parameter(layer.weight.detach().as_subclass(Quantised), False)
    return layer


def hooked(name: str) -> Callable[[nn.Module], nn.Module]:
    def hook(layer: nn.Module) -> nn.Module:
        getattr(layer, name)(lambda *args: None)
        return layer
    return hook


@pytest.mark.parametrize('change', [
    *map(hooked, ('register_forward_hook', 'register_forward_pre_hook',
                  'register_full_backward_hook', 'register_full_backward_pre_hook')),
    patch, quantise, nn.utils.parametrizations.weight_norm, nn.utils.spectral_norm,
    lambda layer: Adapted(8, 8)])
def test_changed_layers_are_called(change: Callable[[nn.Module], nn.Module]) -> None:
    layer = nn.Linear(8, 8)
    assert is_plain(layer, nn.Linear)
    assert not is_plain(change(layer), nn.Linear)


def test_changed_classes_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Linear(8, 8)
    handle = register_module_forward_hook(lambda *args: None)
    assert not is_plain(layer, nn.Linear)
    handle.remove()
    assert is_plain(layer, nn.Linear)
    monkeypatch.setattr(nn.Linear, 'forward', lambda self, x: x)
    assert not is_plain(layer, nn.Linear)


def drop(layers: nn.Sequential) -> None:
    """Monte Carlo dropout."""
    for layer in (layers[0][2], layers[2]):
        layer.p = 1.
        layer.train()


def swap(layers: nn.Sequential) -> None:
    adapted = Adapted(32, 8)
    adapted.load_state_dict(layers[1].state_dict())
    layers[1] = adapted


CHANGES = {
    'dropout': drop, 'adapter': swap,
    'approximate': lambda layers: setattr(layers[0][1], 'approximate', 'tanh'),
    'another activation': lambda layers: layers[0].__setitem__(1, nn.ReLU()),
    'a layer more': lambda layers: layers.append(nn.Tanh()),
    'a layer more inside': lambda layers: layers[0].insert(1, nn.Tanh()),
}


@pytest.mark.parametrize('grad', [True, False])
@pytest.mark.parametrize('change', CHANGES.values(), ids=CHANGES)
def test_changes_of_the_mlp_act(change: Callable[[nn.Sequential], object], grad: bool) -> None:
    torch.manual_seed(0)
    ffn, x = FeedForward(8, 32).eval(), torch.randn(2, 5, 8)
    before = ffn(x)
    change(ffn.layers)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(ffn(x), ffn.layers(x))
        assert not torch.allclose(ffn(x), before, rtol=1e-6, atol=1e-6)
