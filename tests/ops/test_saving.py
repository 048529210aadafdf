"""A norm whose output is not kept gives the same gradients, and says so where it cannot."""
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.checkpoint import checkpoint

from vit_plugin.ops import backend, choose, saving
from vit_plugin.ops.choice import has_saving_hooks

pytestmark = pytest.mark.skipif(has_saving_hooks(), reason='torch < 2.8 does not tell of hooks')


class Branch(nn.Module):
    """A norm, and what takes its output."""

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda out: out, **norm: bool) -> None:
        super().__init__()
        self.norm, self.layer, self.change = nn.LayerNorm(8, **norm), nn.Linear(8, 6), change

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.change(self.norm(x)))


def run(branch: Branch, x: Tensor) -> Tensor:
    with choose(saving, x)(branch):
        return branch(x)


def test_gradients() -> None:
    torch.manual_seed(0)
    branch, x = Branch().double(), torch.randn(2, 3, 8, dtype=torch.float64, requires_grad=True)
    inputs = [x, *branch.parameters()]
    assert gradcheck(lambda x, *parameters: run(branch, x), inputs)
    assert gradgradcheck(lambda x, *parameters: run(branch, x), inputs)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('options', [{}, dict(bias=False), dict(elementwise_affine=False)], ids=str)
def test_gradients_are_equal_to_the_last_bit(dtype: torch.dtype, options: dict) -> None:
    torch.manual_seed(0)
    branch = Branch(**options).to(dtype)
    x = torch.randn(2, 5, 8, dtype=dtype, requires_grad=True)
    inputs = [x, *branch.parameters()]
    found = torch.autograd.grad(run(branch, x).pow(3).sum(), inputs)
    expected = torch.autograd.grad(branch(x).pow(3).sum(), inputs)
    for one, other in zip(found, expected):
        assert torch.equal(one, other)


@pytest.mark.parametrize('change', [lambda out: out, lambda out: out.flatten(0, 1)])
@pytest.mark.parametrize('name', ['reference', 'recompute'])
def test_output_is_not_kept(name: str, change: Callable[[Tensor], Tensor]) -> None:
    outs = []

    def look(out: Tensor) -> Tensor:
        outs.append(StorageWeakRef(out.untyped_storage()))
        return change(out)

    with backend(name):
        result = run(Branch(look), torch.randn(2, 5, 8))
    assert result.requires_grad
    assert outs[0].expired() == (name == 'recompute')


@pytest.mark.parametrize('change', [
    lambda out: out.mul_(2), lambda out: (out.detach().mul_(2), out)[1], lambda out: out[:, 1:],
    lambda out: out.roll(1, -1), lambda out: 2 * out, lambda out: out.transpose(0, 1)])
def test_changed_output_is_kept(change: Callable[[Tensor], Tensor]) -> None:
    """What a branch makes of it, in place or not, is no output of the norm any more."""
    branch, x = Branch(change), torch.randn(2, 5, 8)
    found = torch.autograd.grad(run(branch, x).pow(3).sum(), branch.layer.weight)
    expected = torch.autograd.grad(branch(x).pow(3).sum(), branch.layer.weight)
    assert torch.equal(found[0], expected[0])


def test_norms_of_others_are_kept() -> None:
    """Their epsilon is not known."""
    other = nn.LayerNorm(8, eps=1.)
    branch, x = Branch(lambda out: other(out)), torch.randn(2, 5, 8)
    found = torch.autograd.grad(run(branch, x).pow(3).sum(), branch.layer.weight)
    expected = torch.autograd.grad(branch(x).pow(3).sum(), branch.layer.weight)
    assert torch.equal(found[0], expected[0])


@pytest.mark.parametrize('changed', ['x', 'norm', 'layer'])
def test_changes_in_place_are_noticed(changed: str) -> None:
    branch, x = Branch(), torch.randn(2, 5, 8)
    out = run(branch, x)
    with torch.no_grad():
        dict(x=x, norm=branch.norm.bias, layer=branch.layer.weight)[changed].add_(1)
    with pytest.raises(ValueError, match='changed in place after the forward pass'):
        out.sum().backward()


def test_other_hooks_see_everything() -> None:
    branch, x = Branch(), torch.randn(5, 8)
    seen: list[Tensor] = []
    with saved_tensors_hooks(lambda tensor: seen.append(tensor) or tensor, lambda tensor: tensor):
        run(branch, x)
    assert any(torch.equal(tensor, branch.norm(x)) for tensor in seen if tensor.shape == (5, 8))


def test_checkpointing() -> None:
    branch, x = Branch(), torch.randn(5, 8, requires_grad=True)
    grads = []
    for out in (run(branch, x),
                checkpoint(lambda x: run(branch, x), x, use_reentrant=False)):
        grads.append(torch.autograd.grad(out.pow(2).sum(), [x, *branch.norm.parameters()]))
    for one, other in zip(*grads):
        assert torch.equal(one, other)
