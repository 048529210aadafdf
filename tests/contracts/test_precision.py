"""Half precision stays finite, and what must be float32 is."""
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from registered import Case, flatten, gradients, image, loss
from torch import nn
from torch.ao.quantization import quantize_dynamic
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from vit_plugin.ops.attention import OVERFLOWS

HALF = [torch.bfloat16, torch.float16]


def enlarge_scores(model: nn.Module, factor: float) -> None:
    """Make queries and keys larger, so that their products leave float16's range."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if 'qkv' in name:
                value[:2 * len(value) // 3] *= factor


@pytest.mark.parametrize('dtype', HALF, ids=str)
@pytest.mark.parametrize('training', [False, True])
def test_autocast_is_finite(case: Case, dtype: torch.dtype, training: bool) -> None:
    """Stock Swin multiplies q and k in half precision: above 65504 all outputs are nan."""
    model = case.build().train(training)
    enlarge_scores(model, 300.)
    images = 100 * image(2, 70, 64)
    with torch.autocast('cpu', dtype):
        outputs = flatten(model(images))
    assert all(x.isfinite().all() for x in outputs)
    if training:
        (1e-3 * loss(tuple(x.float() for x in outputs))).backward()
        assert all(gradient.isfinite().all() for gradient in gradients(model).values())


@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_autocast_is_near_float32(case: Case, dtype: torch.dtype) -> None:
    model = case.build().eval()
    images = image(2, 70, 64)
    with torch.no_grad():
        expected = flatten(model(images))
        with torch.autocast('cpu', dtype):
            actual = flatten(model(images))
    for a, b in zip(actual, expected):
        assert (a.float() - b).norm() < 0.1 * b.norm()


@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_converted_is_near_float32(case: Case, dtype: torch.dtype) -> None:
    """Also where somebody counts its operators."""
    model, images = case.build().eval(), image(2, 70, 64)
    with torch.no_grad():
        expected = flatten(model(images))
        model, images = model.to(dtype), images.to(dtype)
        actual = flatten(model(images))
        with FlopCounterMode(display=False):
            counted = flatten(model(images))
    for outputs in (actual, counted):
        for a, b in zip(outputs, expected):
            assert (a.float() - b).norm() < 0.1 * b.norm()


def test_int8_is_near_float32(case: Case) -> None:
    """Linear layers quantised dynamically, as docs/performance.md shows."""
    model, images = case.build().eval(), image(2, 70, 64)
    quantised = quantize_dynamic(model, {nn.Linear})
    assert not any(type(module) is nn.Linear for module in quantised.modules())
    with torch.no_grad():
        for a, b in zip(flatten(quantised(images)), flatten(model(images))):
            assert (a - b).norm() < 0.1 * b.norm()


class Attentions(TorchFunctionMode):
    """Notes the types of query and bias of each attention."""

    def __init__(self) -> None:
        self.types: list[tuple] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            bias = kwargs.get('attn_mask')
            self.types.append((args[0].dtype, args[0].dtype if bias is None else bias.dtype))
        return func(*args, **kwargs)


@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_bias_has_the_type_of_the_query(case: Case, dtype: torch.dtype) -> None:
    """A float32 bias beside half queries is refused, or silently wrong on Hopper."""
    with torch.no_grad(), Attentions() as attentions:
        with torch.autocast('cpu', dtype):
            case.build().eval()(image(1, 64, 64))
        converted = case.build().eval().to(dtype)
        outputs = flatten(converted(image(1, 70, 64).to(dtype)))
    assert {x.dtype for x in outputs} == {dtype}
    computed = torch.float32 if OVERFLOWS and dtype == torch.float16 else dtype
    assert set(attentions.types) == {(computed, computed)}
