"""What is changed in a `FeedForward` acts, whatever the back-end."""
from collections.abc import Callable

import pytest
import torch
from mmpretrain.models.utils import SwiGLUFFN
from torch import Tensor, nn

from vit_plugin.layers import FeedForward, SwiGLU


class Adapted(nn.Linear):
    """A layer that does more than its weights say, as LoRA's do."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


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
    'a linear layer more inside': lambda layers: layers[0].insert(1, nn.Linear(32, 32)),
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


def test_swiglu_is_mmpretrains() -> None:
    """The same state-dict keys, outputs and gradients."""
    torch.manual_seed(0)
    theirs = SwiGLUFFN(8, 12, layer_scale_init_value=0.5, add_identity=False)
    ours, x = SwiGLU(8, 12, layer_scale_init_value=0.5), torch.randn(2, 5, 8)
    ours.load_state_dict(theirs.state_dict())
    for model in (ours, theirs):
        model(x).square().sum().backward()
    torch.testing.assert_close(ours(x), theirs(x))
    for mine, stock in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, stock.grad)
