"""Freezing, unused outputs and activation checkpointing."""
from inspect import unwrap
from itertools import combinations

import pytest
import torch
from registered import Case, assert_close, flatten, gradients, image, loss, trainable
from torch import nn

from vit_plugin.registry import MODELS

EMBEDDING = ('patch_embed', 'cls_token', 'dist_token', 'register_tokens', 'pos_embed',
             'absolute_pos_embed', 'drop_after_pos', 'pre_norm')
DROPPING = dict(drop_rate=0.5, drop_path_rate=0.5)


def is_frozen(name: str, frozen_stages: int, depth: int) -> bool:
    """What the docstrings say of a parameter or a module."""
    part, _, rest = name.partition('.')
    if part in EMBEDDING:
        return frozen_stages >= 0
    if part in ('layers', 'stages'):
        return rest != '' and int(rest.split('.')[0]) < frozen_stages
    if part == 'ln1':
        return frozen_stages == depth
    assert part.startswith('norm'), f'{name} is not in the docstring of frozen_stages'
    return int(part.removeprefix('norm')) < frozen_stages


def test_registry_is_covered(backbone: Case) -> None:
    assert unwrap(MODELS.get(backbone.cls.__name__)) is backbone.cls


def test_freezing(case: Case) -> None:
    """Stock: Swin freezes nothing before `.train()`; the distilled ViT never its dist_token."""
    for frozen_stages in range(-1, case.depth + 1):
        model = case.build(frozen_stages=frozen_stages)
        for training in (None, True, False):
            if training is not None:
                assert model.train(training) is model  # the stock ones return None
            for name, parameter in model.named_parameters():
                assert parameter.requires_grad != is_frozen(name, frozen_stages, case.depth), name
            for name, module in model.named_modules():
                if name:
                    expected = training is not False and not is_frozen(name, frozen_stages,
                                                                       case.depth)
                    assert module.training == expected, name
        assert model.eval() is model


def test_frozen_parts_do_not_drop(case: Case) -> None:
    frozen = case.build(frozen_stages=case.depth, **DROPPING).train()
    expected = case.build().eval()(image(2, 48, 48))
    assert_close(flatten(frozen(image(2, 48, 48))), flatten(expected), 1e-5)


def test_every_parameter_has_a_gradient(case: Case) -> None:
    """Stock: norms, blocks and stages after the last of out_indices get none, so DDP dies."""
    indices = range(case.depth)
    choices = [c for n in range(1, case.depth + 1) for c in combinations(indices, n)]
    for out_indices in choices:
        model = case.build(out_indices=out_indices)
        outputs = model(image(2, 80, 80))
        assert len(outputs) == len(out_indices)
        loss(outputs).backward()
        found = gradients(model)
        assert found.keys() == trainable(model)
        assert all(gradient.abs().max() > 0 for gradient in found.values())


@pytest.mark.parametrize('frozen_stages', [0, 1, 2])
def test_every_trainable_parameter_has_a_gradient(case: Case, frozen_stages: int) -> None:
    for out_indices in range(case.depth):
        model = case.build(out_indices=out_indices, frozen_stages=frozen_stages)
        if trainable(model):
            loss(model(image(2, 80, 80))).backward()
        assert gradients(model).keys() == trainable(model)


@pytest.mark.parametrize('frozen_stages', [-1, 1])
def test_with_cp(case: Case, frozen_stages: int) -> None:
    """Stock: the ViTs have no `with_cp`."""
    found, outputs = [], []
    for with_cp in (False, True):
        model = case.build(with_cp=with_cp, drop_rate=0.2, drop_path_rate=0.5,
                           frozen_stages=frozen_stages).train()
        torch.manual_seed(3)
        outputs.append(model(image(3, 70, 80)))
        loss(outputs[-1]).backward()
        assert gradients(model).keys() == trainable(model)
        found.append(gradients(model))
    assert_close(flatten(outputs[1]), flatten(outputs[0]), 1e-6)
    assert_close(found[1], found[0], 1e-6)
    torch.manual_seed(4)
    dropped_otherwise = model(image(3, 70, 80))
    assert not torch.equal(flatten(dropped_otherwise)[-1], flatten(outputs[0])[-1])


def test_with_cp_saves_activations(backbone: Case) -> None:
    """The forward keeps fewer values for the backward."""
    kept = []
    for with_cp in (False, True):
        model, sizes = backbone.build(with_cp=with_cp).train(), []
        with torch.autograd.graph.saved_tensors_hooks(
                lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x):
            model(image(2, 64, 64))
        kept.append(sum(sizes))
    assert kept[1] < 0.7 * kept[0]  # the image itself is in both


def test_modules_are_plain(case: Case) -> None:
    """No parameter is shared or hidden: an optimizer sees each one once."""
    model = case.build()
    listed = [p for module in model.modules() for p in module.parameters(recurse=False)]
    assert len(listed) == len({id(p) for p in listed}) == len(list(model.parameters()))
    assert isinstance(model, nn.Module)
