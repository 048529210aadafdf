"""The losses against their formulas in NumPy, and the bounds of their arguments."""
import numpy as np
import pytest
import torch

from vit_plugin.distillation import HardDistillation, SoftDistillation
from vit_plugin.distillation.losses import agreement

STUDENT = np.random.default_rng(0).normal(0, 3, (5, 7))
TEACHER = np.random.default_rng(1).normal(0, 3, (5, 7))


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def tensors(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(STUDENT, dtype=dtype), torch.tensor(TEACHER, dtype=dtype)


def test_hard() -> None:
    expected = -np.log(softmax(STUDENT))[np.arange(5), TEACHER.argmax(1)].mean()
    assert HardDistillation()(*tensors()).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('temperature', [1., 3.])
def test_soft(temperature: float) -> None:
    p, q = softmax(TEACHER / temperature), softmax(STUDENT / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    loss = SoftDistillation(temperature=temperature)
    assert loss(*tensors()).item() == pytest.approx(expected, abs=1e-6)
    numel = SoftDistillation(temperature=temperature, reduction='numel')
    assert numel(*tensors()).item() == pytest.approx(expected / 7, abs=1e-6)


def test_agreement() -> None:
    student, teacher = torch.eye(4), torch.eye(4)[[0, 1, 3, 2]]
    assert agreement(student, teacher).item() == 0.5


@pytest.mark.parametrize('arguments', [dict(weight=-0.1), dict(weight=1.5), dict(temperature=0.),
                                       dict(temperature=-1.), dict(reduction='mean')])
def test_bad_arguments(arguments: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SoftDistillation(**arguments)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('criterion', [HardDistillation(), SoftDistillation(),
                                       SoftDistillation(reduction='numel')], ids=repr)
def test_float32_within_autocast(criterion: torch.nn.Module, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)

    def logits() -> torch.Tensor:
        return (torch.rand(4, 10, generator=generator) * 2e4 - 1e4).to(dtype)

    student, teacher = logits().requires_grad_(), logits()
    exact = criterion(student.detach().float(), teacher.float())
    with torch.autocast('cpu', torch.bfloat16):
        value = criterion(student, teacher)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert student.grad.isfinite().all()
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)
