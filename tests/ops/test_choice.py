"""A layer of torch is passed over only where nobody can tell."""
from collections.abc import Callable

import pytest
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from vit_plugin.ops.choice import calls, is_plain


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
    assert is_plain(layer)
    assert not is_plain(change(layer))


def test_changed_classes_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Linear(8, 8)
    handle = register_module_forward_hook(lambda *args: None)
    assert not is_plain(layer)
    handle.remove()
    assert is_plain(layer)
    monkeypatch.setattr(nn.Linear, 'forward', lambda self, x: x)
    assert not is_plain(layer)


def test_dropout_is_passed_over_where_it_drops_nothing() -> None:
    assert is_plain(nn.Dropout(0.))
    assert is_plain(nn.Dropout(0.5).eval())
    assert not is_plain(nn.Dropout(0.5))


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    @calls('linear')
    def project(self, x: Tensor) -> Tensor:
        return 2 * self.linear(x)


class Overridden(Scaled):
    def project(self, x: Tensor) -> Tensor:
        return self.linear(x)


def test_marked_methods_are_as_plain_as_the_layers_that_they_call() -> None:
    layer = Scaled()
    assert is_plain(layer.project)
    assert not is_plain(Overridden().project)
    layer.linear.register_forward_hook(lambda *args: None)
    assert not is_plain(layer.project)


def test_other_layers_are_called() -> None:
    assert not is_plain(nn.Tanh())
    assert not is_plain(nn.GELU('tanh'))
    assert not is_plain(nn.Linear(2, 2).forward)
