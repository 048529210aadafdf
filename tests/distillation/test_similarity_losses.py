"""Similarities against loops in double precision, and their gradients against differences."""
import re
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.utils.data import DataLoader

from tests.distillation.test_unlabelled import unlabelled
from vit_plugin.checks.batches import check_compared_images
from vit_plugin.distillation import LocalSimilarityDistillation, SimilarityDistillation

Array = np.ndarray


def outputs(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) * 2 + 1 for shape in shapes]


def between_images(student: Array, teacher: Array) -> float:
    """Mean squared difference of the cosines between rows of (N, C) and (N, D)."""
    return np.mean([(cosine(student, i, j) - cosine(teacher, i, j))**2
                    for i in range(len(student)) for j in range(len(student))])


def cosine(x: Array, i: int, j: int) -> float:
    a, b = x[i] - x.mean(0), x[j] - x.mean(0)
    return a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)


def between_pixels(student: Array, teacher: Array) -> float:
    """The same within each image of (B, C, H, W) and (B, D, H, W), without the batch's mean."""
    rows = [np.moveaxis(x - x.mean((0, 2, 3), keepdims=True), 1, 3) for x in (student, teacher)]
    found = []
    for ours, theirs in zip(*(x.reshape(len(x), -1, x.shape[3]) for x in rows)):
        units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs)]
        found.append(np.square(np.subtract(*(x @ x.T for x in units))).mean())
    return float(np.mean(found))


def differences(function: Callable[[Array], float], x: Array) -> Array:
    """The gradient by central differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-5
        gradient[i] = (function(x + step) - function(x - step)) / 2e-5
    return gradient


@pytest.mark.parametrize(('loss', 'formula', 'shapes'), [
    (SimilarityDistillation(), between_images, [(5, 3), (5, 7)]),
    (LocalSimilarityDistillation(), between_pixels, [(2, 3, 2, 3), (2, 7, 2, 3)])],
    ids=['images', 'pixels'])
def test_value_and_gradient(loss: torch.nn.Module, formula: Callable, shapes: list) -> None:
    student, teacher = outputs(*shapes)
    value = loss(student.requires_grad_(), teacher)
    value.backward()
    ours, theirs = (x.detach().double().numpy() for x in (student, teacher))
    assert value.item() == pytest.approx(formula(ours, theirs), rel=1e-5)
    expected = differences(lambda x: formula(x, theirs), ours)
    np.testing.assert_allclose(student.grad.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_width_scale_and_mean_make_no_difference() -> None:
    teacher, = outputs((6, 4))
    rotation = torch.linalg.qr(torch.randn(9, 4))[0]
    student = 3 * teacher @ rotation.T + 5
    assert SimilarityDistillation()(student, teacher).item() == pytest.approx(0, abs=1e-10)


def test_maps_are_averaged_over_the_image() -> None:
    student, teacher = outputs((5, 3, 4, 6), (5, 7))
    loss = SimilarityDistillation()
    assert loss(student, teacher) == loss(student.mean((2, 3)), teacher)
    assert loss(teacher, student) == loss(teacher, student.mean((2, 3)))


def test_pixels_are_compared_on_the_smaller_grid() -> None:
    student, teacher = outputs((2, 3, 8, 4), (2, 7, 4, 12))
    pooled = student.unflatten(2, (4, 2)).mean(3), teacher.unflatten(3, (4, 3)).mean(4)
    expected = LocalSimilarityDistillation()(*pooled)
    torch.testing.assert_close(LocalSimilarityDistillation()(student, teacher), expected)
    halves = [x.unflatten(2, (2, -1)).mean(3).unflatten(3, (2, -1)).mean(4)
              for x in (student, teacher)]
    torch.testing.assert_close(LocalSimilarityDistillation(grid=2)(student, teacher),
                               LocalSimilarityDistillation()(*halves))


@pytest.mark.parametrize('loss', [SimilarityDistillation(), LocalSimilarityDistillation()])
def test_half_precision_is_computed_in_float32(loss: torch.nn.Module) -> None:
    student, teacher = (x.bfloat16() for x in outputs((4, 3, 4, 4), (4, 7, 4, 4)))
    with torch.autocast('cpu', torch.bfloat16):
        found = loss(student, teacher)
    assert found == loss(student.float(), teacher.float())


@pytest.mark.parametrize('loss', [SimilarityDistillation(), LocalSimilarityDistillation()])
def test_images_without_a_difference_have_a_finite_gradient(loss: torch.nn.Module) -> None:
    student = torch.ones(4, 3, 4, 4, requires_grad=True)
    loss(student, outputs((4, 7, 4, 4))[0]).backward()
    assert student.grad.isfinite().all()


def test_model_learns_by_similarities_alone() -> None:
    """Without parameters, and with what a checkpoint of other losses has in its metadata."""
    torch.manual_seed(0)
    model = MODELS.build(unlabelled(distillation=[
        dict(type='vit_plugin.SimilarityDistillation'),
        dict(type='vit_plugin.LocalSimilarityDistillation', teacher='norm')]))
    assert not list(model.distillation.parameters())
    model.load_state_dict(MODELS.build(unlabelled()).state_dict(), strict=True)
    images = torch.randn(4, 3, 32, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    totals = []
    for _ in range(8):
        losses = model.loss(images)
        assert set(losses) == {'loss_distill_similaritydistillation',
                               'loss_distill_localsimilaritydistillation'}
        total = sum(losses.values())
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < 0.7 * totals[0]


def test_two_images_are_too_few() -> None:
    """Centred, they are opposite for teacher and student."""
    loss, model = SimilarityDistillation(), torch.nn.Module()
    model.pairs = [SimpleNamespace(loss=loss, kind=SimilarityDistillation)]
    assert loss(*outputs((2, 3), (2, 7))) < 1e-6
    assert loss(*outputs((3, 3), (3, 7))) > 1e-3
    found, = check_compared_images(DataLoader(list(range(6)), batch_size=2), model)
    assert re.search(r'compares the images .*batch_size=2 .*: 3 is the least', found.message)
    assert not check_compared_images(DataLoader(list(range(6)), batch_size=3), model)


@pytest.mark.parametrize(('loss', 'student', 'teacher', 'message'), [
    (LocalSimilarityDistillation, (1, 4, 8, 8), (1, 4, 1, 1), 'a map of one pixel'),
    (LocalSimilarityDistillation, (1, 4, 8, 8), (1, 4), r'compares \(B, C, H, W\)'),
    (SimilarityDistillation, (1, 4, 8), (1, 4), r'compares \(B, K\) or \(B, C, H, W\)'),
    (SimilarityDistillation, (1, 4), (1, 9, 8, 8), None),
    (LocalSimilarityDistillation, (1, 4, 8, 8), (1, 9, 5, 7), None)])
def test_what_can_be_compared(loss: type, student: tuple, teacher: tuple, message: str | None
                              ) -> None:
    found = loss().mismatch(student, teacher)
    if message is None:
        assert found is None
    else:
        assert re.search(message, found)


def test_a_grid_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match='grid=1 must be 2 at least'):
        LocalSimilarityDistillation(grid=1)
