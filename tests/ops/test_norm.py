"""A norm whose output is not kept gives the same gradients, and says so where it cannot."""
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.checkpoint import checkpoint

from vit_plugin.layers.plain import after_norm
from vit_plugin.ops import backend, recomputed_norm
from vit_plugin.ops.backends import has_saving_hooks

pytestmark = pytest.mark.skipif(has_saving_hooks(), reason='torch < 2.8 does not tell of hooks')


def norm_linear(x: Tensor, gain: Tensor, shift: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = F.layer_norm(x, x.shape[-1:], gain, shift)
    with recomputed_norm(out, x, gain, shift, 1e-5):
        return F.linear(out, weight, bias)


def test_gradients() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True)
              for shape in ((2, 3, 4), (4,), (4,), (5, 4), (5,))]
    assert gradcheck(norm_linear, inputs)
    assert gradgradcheck(norm_linear, inputs)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('affine', [True, False])
def test_gradients_are_equal_to_the_last_bit(dtype: torch.dtype, affine: bool) -> None:
    torch.manual_seed(0)
    norm, layer = nn.LayerNorm(8, elementwise_affine=affine).to(dtype), nn.Linear(8, 6).to(dtype)
    x = torch.randn(2, 5, 8, dtype=dtype, requires_grad=True)
    inputs = [x, *norm.parameters(), *layer.parameters()]
    found = torch.autograd.grad(after_norm(norm, x, layer).pow(3).sum(), inputs)
    expected = torch.autograd.grad(layer(norm(x)).pow(3).sum(), inputs)
    for one, other in zip(found, expected):
        assert torch.equal(one, other)


@pytest.mark.parametrize('name', ['reference', 'recompute'])
def test_output_is_not_kept(name: str) -> None:
    norm, layer, outs = nn.LayerNorm(8), nn.Linear(8, 6), []

    def branch(out: Tensor) -> Tensor:
        outs.append(StorageWeakRef(out.untyped_storage()))
        return layer(out)

    with backend(name):
        result = after_norm(norm, torch.randn(2, 5, 8), branch)
    assert result.requires_grad
    assert outs[0].expired() == (name == 'recompute')


def test_changed_output_is_kept() -> None:
    """What a branch makes of it in place is no output of the norm any more."""
    norm, layer, x = nn.LayerNorm(8), nn.Linear(8, 6), torch.randn(2, 5, 8)
    after_norm(norm, x, lambda out: layer(out.mul_(2))).sum().backward()
    torch.testing.assert_close(layer.weight.grad, (2 * norm(x)).flatten(0, 1).sum(0).expand(6, 8))


@pytest.mark.parametrize('changed', ['x', 'norm', 'layer'])
def test_changes_in_place_are_noticed(changed: str) -> None:
    norm, layer, x = nn.LayerNorm(8), nn.Linear(8, 6), torch.randn(2, 5, 8)
    out = after_norm(norm, x, layer)
    with torch.no_grad():
        dict(x=x, norm=norm.bias, layer=layer.weight)[changed].add_(1)
    with pytest.raises(ValueError, match='changed in place after the forward pass'):
        out.sum().backward()


def test_other_hooks_see_everything() -> None:
    norm, layer, x = nn.LayerNorm(8), nn.Linear(8, 6), torch.randn(5, 8)
    seen: list[Tensor] = []
    with saved_tensors_hooks(lambda tensor: seen.append(tensor) or tensor, lambda tensor: tensor):
        after_norm(norm, x, layer)
    assert any(torch.equal(tensor, norm(x)) for tensor in seen if tensor.shape == (5, 8))


def test_checkpointing() -> None:
    norm, layer = nn.LayerNorm(8), nn.Linear(8, 6)
    x = torch.randn(5, 8, requires_grad=True)
    grads = []
    for out in (after_norm(norm, x, layer),
                checkpoint(lambda x: after_norm(norm, x, layer), x, use_reentrant=False)):
        grads.append(torch.autograd.grad(out.pow(2).sum(), [x, norm.weight, layer.weight]))
    for one, other in zip(*grads):
        assert torch.equal(one, other)
