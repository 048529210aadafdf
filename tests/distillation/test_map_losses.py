"""Losses against closed forms in double precision, by NumPy."""
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vit_plugin.distillation import (
    CWD,
    DIST,
    DKD,
    MGD,
    PKD,
    FeatureDistillation,
    PixelDistillation,
    StandardisedDistillation,
)

Array = np.ndarray
TOLERANCE = dict(rel=1e-6, abs=1e-6)


def scores(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(shape, generator=generator) * 2 for _ in range(2))


def softmax(x: Array, axis: int = 1) -> Array:
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)


def kl(teacher: Array, student: Array, axis: int = 1) -> Array:
    return (teacher * np.log(teacher / student)).sum(axis)


def doubles(*tensors: Tensor) -> list[Array]:
    return [tensor.double().numpy() for tensor in tensors]


@pytest.mark.parametrize('temperature', [1., 4.])
def test_dist(temperature: float) -> None:
    s, t = scores(6, 5)
    ours, theirs = (softmax(x / temperature) for x in doubles(s, t))
    between = 1 - np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs)])
    within = 1 - np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours.T, theirs.T)])
    loss = DIST(beta=2., gamma=3., temperature=temperature)
    expected = temperature**2 * (2 * between + 3 * within)
    assert loss(s, t).item() == pytest.approx(expected, **TOLERANCE)


def test_scores_of_pixels_are_rows() -> None:
    s, t = scores(2, 5, 3, 4)
    rows = [x.permute(0, 2, 3, 1).reshape(-1, 5) for x in (s, t)]
    for loss in (DIST(), StandardisedDistillation()):
        assert loss(s, t).item() == pytest.approx(loss(*rows).item(), **TOLERANCE)


@pytest.mark.parametrize('temperature', [1., 4.])
def test_dkd(temperature: float) -> None:
    s, t = scores(6, 5)
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    total = 0.
    for ours, theirs, label in zip(*(softmax(x / temperature) for x in doubles(s, t)), labels):
        other = np.arange(5) != int(label)
        true = [np.array([p[~other].item(), p[other].sum()]) for p in (ours, theirs)]
        rest = [p[other] / p[other].sum() for p in (ours, theirs)]
        total += 2 * kl(true[1], true[0], 0) + 3 * kl(rest[1], rest[0], 0)
    loss = DKD(alpha=2., beta=3., temperature=temperature)
    assert loss(s, t, labels).item() == pytest.approx(temperature**2 * total / 6, **TOLERANCE)


def test_dkd_of_weights_that_follow_the_teacher_is_the_soft_loss() -> None:
    """KL = KL(b) + (1 - p_true) * KL(q): the paper's equation 5, where all p_true are the same."""
    t = torch.tensor([[2., 0., 1.], [0., 2., 1.]])
    s, labels = scores(2, 3)[0], torch.tensor([0, 1])
    p_true = softmax(doubles(t)[0])[0, 0]
    loss = DKD(alpha=1., beta=1 - p_true, temperature=1.)
    expected = kl(*(softmax(x) for x in doubles(t, s))).mean()
    assert loss(s, t, labels).item() == pytest.approx(expected, **TOLERANCE)


def test_standardised_scores() -> None:
    s, t = scores(6, 5)
    ours, theirs = (softmax((x - x.mean(1, keepdims=True)) / x.std(1, ddof=1, keepdims=True) / 2)
                    for x in doubles(s, t))
    loss = StandardisedDistillation()
    assert loss(s, t).item() == pytest.approx(4 * kl(theirs, ours).mean(), **TOLERANCE)
    assert loss(7 * t + 3, t).item() == pytest.approx(0, abs=1e-6)


def test_pkd_is_one_minus_the_correlation() -> None:
    s, t = scores(3, 4, 5, 6)
    n = 3 * 5 * 6
    channels = (zip(*(x.transpose(1, 0, 2, 3).reshape(4, -1) for x in doubles(s, t))))
    expected = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in channels]) * (n - 1) / n
    assert PKD()(s, t).item() == pytest.approx(expected, rel=1e-5)  # its 1e-6 beside deviations
    assert PKD()(5 * t - 2, t).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('temperature', [1., 4.])
def test_cwd(temperature: float) -> None:
    s, t = scores(3, 4, 5, 6)
    ours, theirs = (softmax(x.reshape(3, 4, -1) / temperature, 2) for x in doubles(s, t))
    expected = temperature**2 * kl(theirs, ours, 2).mean()
    assert CWD(temperature=temperature)(s, t).item() == pytest.approx(expected, **TOLERANCE)


@pytest.mark.parametrize('temperature', [1., 4.])
def test_pixels(temperature: float) -> None:
    s, t = scores(3, 4, 5, 6)
    ours, theirs = (softmax(x / temperature) for x in doubles(s, t))
    expected = temperature**2 * kl(theirs, ours).mean()
    loss = PixelDistillation(temperature=temperature)
    assert loss(s, t).item() == pytest.approx(expected, **TOLERANCE)


@pytest.mark.parametrize('width', [4, 3])
def test_mgd(width: int) -> None:
    s, t = scores(2, width, 5, 6)[0], scores(2, 4, 5, 6)[1]
    loss = MGD(student_channels=width, teacher_channels=4, masked=0.5)
    torch.manual_seed(3)
    found = loss(s, t)
    torch.manual_seed(3)
    mask = (torch.rand(2, 1, 5, 6) >= 0.5).double()
    loss.double()
    x = s.double() if width == 4 else torch.einsum(
        'bchw,dc->bdhw', s.double(), loss.align.weight[:, :, 0, 0]) + loss.align.bias[:, None, None]
    first, _, last = loss.generate
    x = F.conv2d(F.conv2d(x * mask, first.weight, first.bias, padding=1).relu(), last.weight,
                 last.bias, padding=1)
    assert found.item() == pytest.approx(((x - t) ** 2).sum().item() / 2, rel=1e-6)


def test_mgd_masks_its_share() -> None:
    loss = MGD(1, 1, masked=0.65)
    seen: list[Tensor] = []
    loss.generate.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loss(torch.ones(4, 1, 64, 64), torch.ones(4, 1, 64, 64))
    assert (seen[0] == 0).float().mean().item() == pytest.approx(0.65, abs=0.02)


def feature_loss(student: Tensor, teacher: Tensor, loss: FeatureDistillation) -> float:
    """Of rows (N, C) and (N, D)."""
    ours, theirs = doubles(student, teacher)
    weight, bias = doubles(loss.project.weight.detach(), loss.project.bias.detach())
    ours = ours @ weight.T + bias
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    gap = np.abs(ours - theirs)
    smooth = np.where(gap < 1, gap**2 / 2, gap - 0.5).mean()
    return 0.9 * (1 - cosine.mean()) + 0.1 * smooth


def test_features_on_the_teachers_grid() -> None:
    s, t = scores(2, 3, 4, 6)[0], scores(2, 5, 8, 9)[1]
    loss = FeatureDistillation(student_channels=3, teacher_channels=5)
    rows = [x.permute(0, 2, 3, 1).flatten(0, 2)
            for x in (F.interpolate(s, (8, 9), mode='bilinear', align_corners=False), t)]
    assert loss(s, t).item() == pytest.approx(feature_loss(*rows, loss), **TOLERANCE)


def test_features_of_the_whole_image() -> None:
    s, t = scores(2, 3, 4, 6)[0], scores(2, 5)[1]
    loss = FeatureDistillation(student_channels=3, teacher_channels=5)
    mean = s.mean((2, 3))
    for student in (s, mean):
        assert loss(student, t).item() == pytest.approx(feature_loss(mean, t, loss), **TOLERANCE)


@pytest.mark.parametrize('loss', [
    DIST(), StandardisedDistillation(), PKD(), CWD(), PixelDistillation(), MGD(4, 4),
    FeatureDistillation(4, 4)], ids=lambda loss: type(loss).__name__)
def test_half_precision_is_computed_in_float32(loss: Any) -> None:
    s, t = (x.bfloat16() for x in scores(2, 4, 5, 6))
    s.requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(s, t)
    assert value.dtype == torch.float32
    value.backward()
    assert s.grad.isfinite().all()
    assert s.grad.abs().sum() > 0


@pytest.mark.parametrize('loss', [MGD(4, 6), FeatureDistillation(4, 6)])
def test_what_is_learnt_in_half_precision(loss: Any) -> None:
    s, t = (scores(2, width, 5, 6)[0].bfloat16() for width in (4, 6))
    assert loss.bfloat16()(s, t).dtype == torch.float32


@pytest.mark.parametrize(('loss', 'arguments', 'message'), [
    (PKD, dict(weight=-1.), r'weight=-1\.0'), (CWD, dict(temperature=0.), r'temperature=0\.0'),
    (DIST, dict(temperature=-1.), r'temperature=-1'),
    (PixelDistillation, dict(temperature=0.), 'temperature'),
    (MGD, dict(student_channels=1, teacher_channels=1, masked=1.), r'masked=1\.0'),
    (FeatureDistillation, dict(student_channels=1, teacher_channels=1, cosine=2.), r'cosine=2\.0'),
])
def test_arguments_are_checked(loss: type, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(**arguments)
