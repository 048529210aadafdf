"""Linear layers by oneDNN: the values and gradients of torch's."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vit_plugin import ops
from vit_plugin.ops.cpu import products


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One on which oneDNN is taken."""
    monkeypatch.setattr(products, 'leaves_avx512_unused', lambda: True)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('frozen', [True, False])
def test_equal_to_torch(bias: bool, frozen: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(12, 20, bias).requires_grad_(not frozen)
    x = torch.randn(2, 3, 5, 12, requires_grad=True)
    linear = ops.choose(ops.linear, x, layer)
    assert linear is products.linear
    wanted = [tensor for tensor in (x, *layer.parameters()) if tensor.requires_grad]
    out, expected = linear(layer)(x), F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(out, expected)
    grad = torch.randn_like(out)
    found = torch.autograd.grad(out, wanted, grad, create_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(expected, wanted, grad))
    if not frozen:
        weight_grad = found[1].square().sum()
        again, = torch.autograd.grad(weight_grad, x)
        torch.testing.assert_close(again, 2 * (grad @ found[1].T.mT).detach() @ torch.eye(12))
    with torch.no_grad():
        torch.testing.assert_close(ops.choose(ops.linear, x, layer)(layer)(x), expected)


def test_not_in_other_types_and_not_past_hooks() -> None:
    layer, x = nn.Linear(3, 4), torch.randn(2, 3)
    assert ops.choose(ops.linear, x.double(), layer) is ops.linear
    with torch.autocast('cpu', torch.bfloat16):
        assert ops.choose(ops.linear, x, layer) is ops.linear
    layer.register_forward_hook(lambda *_: None)
    assert ops.choose(ops.linear, x, layer) is ops.linear
    assert ops.linear(layer) is layer
