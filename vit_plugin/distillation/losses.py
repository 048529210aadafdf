"""Soft and hard distillation: DeiT, section 4, equations 2 and 3."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

REDUCTIONS = ('batchmean', 'numel')


class Distillation(nn.Module):
    """Base of the losses: (student, teacher) -> a scalar, before its weight (not negative).

    Attributes:
        compares: ``'scores'`` or ``'maps'``, the default of what is compared, see `find_tap`.
        dims: Number of dimensions of both: 2 for (B, K), 4 for (B, C, H, W).
        needs_labels: True if the true classes (B,) are its third argument.
        over_classes: True if it takes a softmax over the classes, unless ``sigmoid``.
        has_sigmoid: True if it has the argument ``sigmoid``.
        sigmoid: True if each class is a question of its own, as in multi-label heads.
        least_batch: The fewest images of a batch by which anything is learnt.
    """

    weight: float
    compares = 'maps'
    dims: tuple[int, ...] = (4,)
    needs_labels = False
    over_classes = False
    has_sigmoid = False
    sigmoid = False
    least_batch = 1

    def __init__(self, weight: float) -> None:
        super().__init__()
        if weight < 0:
            raise UserError(f'weight={weight} must not be negative')
        self.weight = weight

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """The reason why outputs of these shapes cannot be compared; ``None`` where they can."""
        wrong_dims = self.wrong_dims(student, teacher)
        if wrong_dims:
            return wrong_dims
        if self.over_classes and not self.sigmoid and student[1:2] == (1,):
            return ('the softmax of a single score is always 1. Take sigmoid=True, which '
                    'HardDistillation, SoftDistillation and PixelDistillation have')
        if student[1:] == teacher[1:]:
            return None
        if len(student) == 2:
            return 'both must have the same number of classes'
        return ('channels and size must be the same (MGD takes other widths, FeatureDistillation '
                'and LocalSimilarityDistillation other sizes too)')

    def wrong_dims(self, *shapes: tuple[int, ...]) -> str | None:
        """What the loss compares, if these are outputs of another number of dimensions."""
        if all(len(shape) in self.dims for shape in shapes):
            return None
        kinds = {2: '(B, K)', 4: '(B, C, H, W)'}
        return f'{type(self).__name__} compares ' + ' or '.join(kinds[d] for d in self.dims)


class ScoreDistillation(Distillation):
    """Base of the losses on scores (B, K) that share the total with a label loss.

    The total is ``(1 - weight) * label loss + weight * distillation loss``, the weight in [0, 1].

    Attributes:
        top_k: How many of the teacher's highest scores `StoredOutputs` keeps for it.
    """

    compares = 'scores'
    dims = (2,)
    top_k = 10

    def __init__(self, weight: float) -> None:
        if not 0 <= weight <= 1:
            raise UserError(f'weight={weight} must lie in [0, 1]')
        super().__init__(weight)


class SoftenedDistillation(Distillation):
    """Base of the losses on scores over a temperature: ``label loss + weight * this loss``."""

    compares = 'scores'

    def __init__(self, weight: float, temperature: float) -> None:
        super().__init__(weight)
        self.temperature = positive_temperature(temperature)


def positive_temperature(temperature: float) -> float:
    """A temperature, which divides scores before the softmax; `UserError` unless positive."""
    if temperature <= 0:
        raise UserError(f'temperature={temperature} must be positive')
    return temperature


@MODELS.register_module()
class HardDistillation(ScoreDistillation):
    """``CE(student, argmax teacher)``: the teacher's decision is a second label.

    The total is ``0.5 * CE(cls, y) + 0.5 * CE(dist, argmax teacher)`` with the default weight:
    DeiT, equation 3. Computed in float32.

    Args:
        weight: Share of the teacher in the total loss, in [0, 1].
        sigmoid: Instead, binary cross-entropy of each class with ``teacher > 0``, summed over the
            classes. In a config the heads decide where it is left out.
    """

    top_k = 1
    over_classes = has_sigmoid = True

    def __init__(self, weight: float = 0.5, sigmoid: bool = False) -> None:
        super().__init__(weight)
        self.sigmoid = sigmoid

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.sigmoid:
            decisions = (teacher > 0).float()
            total = F.binary_cross_entropy_with_logits(student.float(), decisions, reduction='sum')
            return total / len(student)
        return F.cross_entropy(student.float(), teacher.argmax(dim=1))


@MODELS.register_module()
class SoftDistillation(ScoreDistillation):
    """``T^2 * KL(softmax(teacher / T) || softmax(student / T))``.

    The total is ``(1 - 0.1) * CE(cls, y) + 0.1 * 3^2 * KL`` with the defaults: DeiT, equation 2.
    Computed in float32.

    Args:
        weight: Share of the teacher in the total loss (the paper's lambda), in [0, 1].
        temperature: The paper's tau, positive.
        reduction: ``'batchmean'``, the formula, sums over the classes and averages over the
            batch (timm and mmrazor too). ``'numel'`` also divides by the number of classes, as
            facebookresearch/deit's ``losses.py`` does, which makes the term that much smaller.
        sigmoid: Instead, KL of each class's answers yes and no, summed over the classes: Yang et
            al., "Multi-label knowledge distillation", https://arxiv.org/abs/2308.06453. In a config
            the heads decide where it is left out.
    """

    over_classes = has_sigmoid = True

    def __init__(self, weight: float = 0.1, temperature: float = 3.,
                 reduction: str = 'batchmean', sigmoid: bool = False) -> None:
        super().__init__(weight)
        self.temperature = positive_temperature(temperature)
        if reduction not in REDUCTIONS:
            raise UserError(f"reduction='{reduction}' is unknown: choose from {REDUCTIONS}")
        self.reduction, self.sigmoid = reduction, sigmoid

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        total = softened_divergence(student, teacher, self.temperature, sigmoid=self.sigmoid)
        return total / (len(student) if self.reduction == 'batchmean' else student.numel())


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float, dim: int = 1,
                        sigmoid: bool = False) -> Tensor:
    """``T^2 * KL(softmax(teacher / T) || softmax(student / T))`` along ``dim``, summed up.

    Computed in float32. A sigmoid of each score is the softmax of the score and 0.
    """
    if sigmoid:
        student, teacher = (torch.stack((x, torch.zeros_like(x)), dim) for x in (student, teacher))
    student, teacher = ((x.float() / temperature).log_softmax(dim) for x in (student, teacher))
    return temperature**2 * F.kl_div(student, teacher, reduction='sum', log_target=True)


@torch.no_grad()
def agreement(student: Tensor, teacher: Tensor, sigmoid: bool = False) -> Tensor:
    """Share of decisions that student and teacher (B, K) have in common: of images, or classes."""
    if sigmoid:
        return ((student > 0) == (teacher > 0)).float().mean()
    return (student.argmax(dim=1) == teacher.argmax(dim=1)).float().mean()
