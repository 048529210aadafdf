"""Pairs of outputs, a student's and a teacher's, with the loss between them."""
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from vit_plugin.errors import UserError

from .feature_maps import as_map, is_channels_last
from .losses import Distillation, ScoreDistillation
from .module_outputs import Tap
from .teacher import Teacher

Matched = list[tuple[Tensor, Tensor]]


@dataclass(eq=False)
class Side:
    """One side of a comparison: the tensors of a tap, as maps (B, C, h, w) if asked.

    Attributes:
        tap: The output.
        as_maps: ``True`` to turn tokens and (B, h, w, C) into maps.
        sigmoid: True for scores of sigmoids, False for those of a softmax, ``None`` if unknown.
        channels_last: True for (B, h, w, C), by the number of the tensor, as seen at first.
    """

    tap: Tap
    as_maps: bool
    sigmoid: bool | None = None
    channels_last: dict[int, bool] = field(default_factory=dict)

    def convert(self, outputs: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The tensors of outputs for images of (height, width)."""
        if not self.as_maps:
            return outputs
        for i, x in enumerate(outputs):
            self.channels_last.setdefault(i, is_channels_last(x, size))
        return [as_map(x, size, self.channels_last[i]) for i, x in enumerate(outputs)]


@dataclass(eq=False)
class Pair:
    """A loss and what it compares.

    Attributes:
        kind: Class of the loss.
        student: The student's side.
        teacher: The teacher.
        theirs: The teacher's side.
        losses: One for all tensors, or one for each, with layers of its own (`build_pairs`).
        name: Key of the loss in the model's dict of losses.
    """

    kind: type[Distillation]
    student: Side
    teacher: Teacher
    theirs: Side
    losses: list[Distillation] = field(default_factory=list)
    name: str = 'loss_distill'

    @property
    def loss(self) -> Distillation:
        """The loss, or the first of several that differ in their layers alone."""
        return self.losses[0]

    @property
    def weight(self) -> float:
        """Factor of the loss in the total."""
        return self.loss.weight * self.teacher.weight

    @property
    def is_share(self) -> bool:
        """True if mixed as (1 - weight) * label loss + weight * loss, not added on top."""
        return issubclass(self.kind, ScoreDistillation)

    def match(self, student: list[Tensor], teacher: list[Tensor], image: Tensor) -> Matched:
        """Tensor beside tensor, of the outputs for the student's pixels (B, C, H, W).

        Raises:
            UserError: they cannot be compared, or the student's carry no gradient.
        """
        matched = self.convert(student, teacher, image)
        self.require_match(matched)
        if torch.is_grad_enabled() and not any(ours.requires_grad for ours, _ in matched):
            raise UserError(
                f'the outputs {self.student.tap} of the student carry no gradient, so it can learn '
                'nothing by them: they are frozen, or inside of what with_cp=True computes twice')
        return matched

    def convert(self, student: list[Tensor], teacher: list[Tensor], image: Tensor) -> Matched:
        """Tensor beside tensor, as maps where the loss compares maps."""
        if len(student) != len(teacher):
            raise self.refusal(student, teacher, 'there must be as many of both')
        size = (image.shape[2], image.shape[3])
        ours = self.student.convert(student, size)
        theirs = self.theirs.convert(teacher, self.teacher.pixels.resize or size)
        return list(zip(ours, theirs))

    def require_match(self, matched: Matched, grids: bool = True) -> None:
        """Raise `UserError` unless shapes match; without ``grids`` but for height and width."""
        for ours, theirs in matched:
            student, teacher = tuple(ours.shape), tuple(theirs.shape)
            if not grids and len(student) == len(teacher):
                teacher = (*teacher[:2], *student[2:])
            reason = self.loss.mismatch(student, teacher)
            if reason:
                students, teachers = zip(*matched)
                raise self.refusal(students, teachers, reason)

    def refusal(self, student: Sequence[Tensor], teacher: Sequence[Tensor], reason: str
                ) -> UserError:
        """The error that names both sides with their shapes."""
        return UserError(
            f'{self.kind.__name__} cannot compare the outputs {self.student.tap} of the student, '
            f'of the shapes {shapes_of(student)}, with {self.theirs.tap} of the teacher '
            f'{self.teacher.name}, {shapes_of(teacher)}: {reason}. Name others with student= and '
            'teacher= of the loss')

    def __call__(self, matched: Matched, data_samples: Sequence[BaseDataElement] | None) -> Tensor:
        """The weighted sum of the loss over all tensors."""
        labels: tuple[Tensor, ...] = ()
        if self.kind.needs_labels:
            labels = (find_labels(data_samples, self.kind.__name__),)
        losses = self.losses if len(self.losses) > 1 else self.losses * len(matched)
        values = [loss(*tensors, *labels) for loss, tensors in zip(losses, matched)]
        return self.weight * sum(values)

    def zero(self, student: list[Tensor]) -> Tensor:
        """0, by which DDP finds the student's outputs and the loss's parameters in the graph."""
        parameters = [parameter for loss in self.losses for parameter in loss.parameters()]
        return 0 * torch.stack([x.sum() for x in (*student, *parameters)]).sum()


def shapes_of(tensors: Sequence[Tensor]) -> list[tuple[int, ...]]:
    """The shape of each tensor."""
    return [tuple(tensor.shape) for tensor in tensors]


def find_labels(data_samples: Sequence[BaseDataElement] | None, loss: str) -> Tensor:
    """The classes (B,) of a batch's images; `UserError` unless each has one."""
    samples = data_samples or ()
    if not samples or any('gt_label' not in x or 'gt_score' in x for x in samples):
        raise UserError(f'{loss} needs the class of every image: a label, and no Mixup or CutMix')
    counts = [len(sample.gt_label) for sample in samples]
    if set(counts) != {1}:
        raise UserError(f'{loss} needs one class of every image, but these have {counts} labels: '
                        'SoftDistillation and HardDistillation take several')
    return torch.cat([sample.gt_label for sample in samples])
