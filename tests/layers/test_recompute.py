"""What is computed again in the backward pass has the gradients of what it replaces."""
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from vit_plugin.layers import FeedForward
from vit_plugin.layers.recompute import BiasedAttention, GELULinear


def doubles(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def test_gelu_linear() -> None:
    inputs = doubles((2, 3, 4), (5, 4), (5,))
    x, weight, bias = inputs
    assert torch.equal(GELULinear.apply(*inputs), F.linear(F.gelu(x), weight, bias))
    assert gradcheck(GELULinear.apply, inputs)
    assert gradgradcheck(GELULinear.apply, inputs)


def test_biased_attention() -> None:
    inputs = doubles((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5), (1, 3, 4, 4))
    q, k, v, bias = inputs
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(BiasedAttention.apply(*inputs), expected)
    assert gradcheck(BiasedAttention.apply, inputs)
    assert gradgradcheck(BiasedAttention.apply, inputs)


class Adapted(nn.Linear):
    """A layer that does more than its weights say, as LoRA's do."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


@pytest.mark.parametrize('grad', [True, False])
def test_feed_forward_calls_adapted_layers(grad: bool) -> None:
    torch.manual_seed(0)
    layer, x = FeedForward(8, 32), torch.randn(2, 5, 8)
    expected = layer(x) + 1
    adapted = Adapted(32, 8)
    adapted.load_state_dict(layer.layers[1].state_dict())
    layer.layers[1] = adapted
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(layer(x), expected)


def test_feed_forward_calls_hooks() -> None:
    layer, seen = FeedForward(8, 32), []
    layer.layers[1].register_forward_hook(lambda *args: seen.append(args))
    layer(torch.randn(2, 5, 8))
    assert len(seen) == 1
