"""A backbone is plain modules to whoever watches, patches, subclasses or transforms it."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from registered import Case, assert_close, flatten, image, loss
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

import vit_plugin
from vit_plugin.layers import WindowAttention

MODES: dict[str, Callable[[], AbstractContextManager]] = {
    'grad': nullcontext, 'no_grad': torch.no_grad, 'inference_mode': torch.inference_mode}
SIZE = (40, 36)  # padded, by patches and by windows


@contextmanager
def watched(model: nn.Module, names: list[str], backward: bool) -> Iterator[list[tuple]]:
    """What hooks on modules see: (module, kind, shapes)."""
    seen: list[tuple] = []

    def shapes(values: Any) -> list[tuple]:
        values = values if isinstance(values, tuple) else (values,)
        return [tuple(value.shape) for value in values if isinstance(value, Tensor)]

    def keep(name: str, kind: str) -> Callable:
        return lambda module, *args: seen.append((name, kind, *map(shapes, args)))

    handles = []
    for name in names:
        module = model.get_submodule(name)
        handles += [module.register_forward_pre_hook(keep(name, 'before')),
                    module.register_forward_hook(keep(name, 'after'))]
        if backward:
            handles.append(module.register_full_backward_hook(keep(name, 'backward')))
    yield seen
    for handle in handles:
        handle.remove()


def called(model: nn.Module) -> list[str]:
    """The modules that compute; lists of modules are never called."""
    return [name for name, module in model.named_modules()
            if name and not isinstance(module, nn.ModuleList)]


def test_hooks_see_the_same_in_every_mode(case: Case) -> None:
    model = case.build(drop_rate=0.5).eval()
    names = called(model)
    seen = {}
    for ways in (nullcontext, lambda: vit_plugin.backend('reference')):
        for mode, context in MODES.items():
            with ways(), context(), watched(model, names, False) as seen[mode, ways]:
                model(image(2, *SIZE))
    first, *others = seen.values()
    assert {name for name, *_ in first} == set(names)
    assert all(other == first for other in others)


def test_hooks_on_one_module_see_the_same(backbone: Case) -> None:
    model = backbone.build(out_indices=1).eval()
    names = called(model)
    with watched(model, names, False) as everything:
        model(image(2, *SIZE))
    for name in names:
        for context in MODES.values():
            with context(), watched(model, [name], False) as seen:
                model(image(2, *SIZE))
            assert seen == [event for event in everything if event[0] == name]


def test_backward_hooks_fire(case: Case) -> None:
    seen = {}
    for way in ((), ('reference',)):
        model = case.build().train()
        with vit_plugin.backend(*way) if way else nullcontext(), \
                watched(model, called(model), True) as seen[way]:
            loss(model(image(2, *SIZE).requires_grad_())).backward()
    assert seen[()] == seen['reference',]
    assert {name for name, kind, *_ in seen[()] if kind == 'backward'} == set(called(model))


def test_patched_modules_act_in_every_mode(backbone: Case) -> None:
    """Each computing module in turn changes what it returns, each value differently."""
    def change(x: Tensor) -> Tensor:
        return x * torch.linspace(0.5, 1.5, x[0].numel()).view_as(x[0])

    model = backbone.build(out_indices=1).eval()
    for name in called(model):
        module = model.get_submodule(name)
        original = module.forward
        with torch.no_grad():
            before = flatten(model(image(2, *SIZE)))
        module.forward = lambda *args, forward=original: change(forward(*args))
        found = []
        for context in MODES.values():
            with context():
                found.append([x.detach().clone() for x in flatten(model(image(2, *SIZE)))])
        del module.forward
        for outs in found[1:]:
            assert_close(outs, found[0], 1e-5)
        assert any((a - b).abs().max() > 1e-3 * b.abs().max()
                   for a, b in zip(found[0], before)), name


def test_patched_attention_acts_in_every_mode(backbone: Case,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    model = backbone.build().eval()
    if not any(isinstance(module, WindowAttention) for module in model.modules()):
        pytest.skip('has no attention in windows')
    original = WindowAttention.forward
    monkeypatch.setattr(WindowAttention, 'forward', lambda *args: 2 * original(*args))
    expected = flatten(model(image(2, *SIZE)))
    with torch.no_grad():
        assert_close(flatten(model(image(2, *SIZE))), expected, 1e-5)
    monkeypatch.undo()
    assert not torch.allclose(flatten(model(image(2, *SIZE)))[-1], expected[-1], rtol=1e-3)


def test_function_transforms(backbone: Case) -> None:
    """Gradients for each sample, and derivatives along a direction."""
    model = backbone.build(out_indices=0).eval()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    images, direction = image(3, *SIZE), image(3, *SIZE, seed=2)

    def of_one(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return loss(functional_call(model, parameters, (x[None],)))

    def of_all(x: Tensor) -> Tensor:
        return loss(model(x))

    each = vmap(grad(of_one), (None, 0))(parameters, images)
    for i in range(len(images)):
        model.zero_grad()
        loss(model(images[i:i + 1])).backward()
        assert_close({name: value[i] for name, value in each.items()},
                     {name: p.grad for name, p in model.named_parameters()}, 1e-4)
    x = images.clone().requires_grad_()
    expected = (torch.autograd.grad(of_all(x), x)[0] * direction).sum()
    with torch.no_grad():
        _, found = jvp(of_all, (images,), (direction,))
        with forward_ad.dual_level():
            dual = of_all(forward_ad.make_dual(images, direction))
            again = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(again, found)
