"""A model's state is its state dict: whatever memory held before a load, or averages make of it."""
import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from mmengine.model import ExponentialMovingAverage, StochasticWeightAverage
from registered import Case, flatten, image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def outputs(model: nn.Module) -> list[Tensor]:
    with torch.no_grad():
        return flatten(model.eval()(image(2, 64, 64)))


def assert_equal(actual: nn.Module, expected: nn.Module) -> None:
    for name, value in expected.state_dict().items():
        assert torch.equal(actual.state_dict()[name], value), name
    assert all(torch.equal(a, b) for a, b in zip(outputs(actual), outputs(expected)))


def on_meta(backbone: Case) -> nn.Module:
    with torch.device('meta'):
        return backbone.cls(**{'img_size': 64, **backbone.arguments})


@pytest.mark.parametrize('strict', [True, False])
def test_built_on_meta(backbone: Case, strict: bool) -> None:
    """Memory that `to_empty` hands out is overwritten by the load, all of it."""
    expected = backbone.build()
    model = on_meta(backbone).to_empty(device='cpu')
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.fill_(113)
    model.load_state_dict(expected.state_dict(), strict=strict)
    assert_equal(model, expected)


def test_assigned_to_meta(backbone: Case) -> None:
    expected = backbone.build()
    model = on_meta(backbone)
    model.load_state_dict(expected.state_dict(), assign=True)
    assert_equal(model, expected)


def test_to_empty_on_meta(backbone: Case) -> None:
    """The other order: everything, the load included, under ``torch.device('meta')``."""
    expected = backbone.build()
    with torch.device('meta'):
        model = backbone.cls(**{'img_size': 64, **backbone.arguments}).to_empty(device='cpu')
        model.load_state_dict(expected.state_dict())
    assert_equal(model, expected)


AVERAGES: dict[str, Callable[[nn.Module], nn.Module]] = {
    'torch': lambda model: AveragedModel(model, use_buffers=True),
    'torch EMA': lambda model: AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True),
    'mmengine EMA': lambda model: ExponentialMovingAverage(model, 0.1, update_buffers=True),
    'mmengine SWA': lambda model: StochasticWeightAverage(model, update_buffers=True),
}


@pytest.mark.parametrize('average', AVERAGES)
def test_average_of_equal_models(backbone: Case, average: str) -> None:
    """Averaging a model with itself changes nothing; torch's EMA cuts integers down to 4 of 5."""
    model = backbone.build()
    averaged = AVERAGES[average](model)
    for _ in range(4):
        averaged.update_parameters(model)
    for name, value in model.state_dict().items():
        actual = averaged.module.state_dict()[name]
        torch.testing.assert_close(actual, value, rtol=1e-6, atol=1e-7)
    for a, b in zip(outputs(averaged.module), outputs(model)):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    'deepcopy': copy.deepcopy,
    'pickle': lambda model: pickle.loads(pickle.dumps(model)),
    'casts': lambda model: copy.deepcopy(model).double().half().float(),
}


@pytest.mark.parametrize('way', COPIES)
def test_copies(backbone: Case, way: str) -> None:
    model = backbone.build().half().float()
    assert_equal(COPIES[way](model), model)


def test_integers_of_a_state_dict_are_copies(backbone: Case) -> None:
    """Who averages a state dict in place changes no index."""
    model = backbone.build()
    expected = outputs(model)
    for value in model.state_dict().values():
        if not value.is_floating_point():
            value.zero_()
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), expected))
