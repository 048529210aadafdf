"""Pairs of outputs, a student's and a teacher's, and the loss between them."""
from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.registry import MODELS

from .frozen import OUTPUT, Teacher
from .losses import Distillation
from .probe import probe, probe_shape, student_size
from .taps import Tap, as_map, find_module, is_channels_last

# Keys of a loss's config that choose what it compares; the loss itself does not take them.
PLACES = ('student', 'teacher', 'of')


class Pair(NamedTuple):
    """A loss and what it compares; ``losses`` has one entry, or one for each output."""

    losses: list[Distillation]
    student: Tap
    teacher: Teacher
    tap: Tap
    channels_last: dict[tuple[str, int], bool]  # by side and output, as seen at first

    @property
    def weight(self) -> float:
        """Factor of the loss in the total."""
        return self.losses[0].weight * self.teacher.weight

    def __call__(self, student: list[Tensor], teacher: list[Tensor], image: Tensor,
                 labels: Tensor | None) -> Tensor:
        """The sum over all outputs, before the weight."""
        kind = type(self.losses[0])
        student, teacher = self.as_maps(kind, student, teacher, image)
        self.check(student, teacher)
        if torch.is_grad_enabled() and not any(x.requires_grad for x in student):
            raise UserError(
                f'the outputs {self.student} of the student carry no gradient, so it can learn '
                'nothing by them: they are frozen, or inside of what with_cp=True computes twice')
        if kind.needs_labels and labels is None:
            raise UserError(f'{kind.__name__} needs the class of every image: a label, and no '
                            'Mixup or CutMix')
        losses = self.losses * len(student) if len(self.losses) == 1 else self.losses
        extra = (labels,) if kind.needs_labels else ()
        return sum(loss(s, t, *extra) for loss, s, t in zip(losses, student, teacher))

    def as_maps(self, kind: type[Distillation], student: list[Tensor], teacher: list[Tensor],
                image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Both sides, tokens and (B, h, w, C) as (B, C, h, w) where the loss takes maps."""
        if 4 not in kind.dims:
            return student, teacher
        size = (image.shape[2], image.shape[3])
        return (self.maps_of('student', student, size),
                self.maps_of('teacher', teacher, self.teacher.pixels.resize or size))

    def maps_of(self, side: str, outputs: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The maps of one side, whose image has this size."""
        for i, x in enumerate(outputs):
            self.channels_last.setdefault((side, i), is_channels_last(x, size))
        return [as_map(x, size, self.channels_last[side, i]) for i, x in enumerate(outputs)]

    def check(self, student: list[Tensor], teacher: list[Tensor], grids: bool = True) -> None:
        """Raise `ValueError` unless both match (without ``grids``: but for height and width).

        It names both with their shapes.
        """
        shapes = [[tuple(x.shape) for x in side] for side in (student, teacher)]
        reason = None if len(student) == len(teacher) else 'there must be as many of both'
        for ours, theirs in zip(*shapes):
            if not grids and len(ours) == len(theirs):
                theirs = (*theirs[:2], *ours[2:])
            reason = reason or self.losses[0].mismatch(ours, theirs)
        if reason:
            raise UserError(
                f'{type(self.losses[0]).__name__} cannot compare the outputs {self.student} of the '
                f'student, of the shapes {shapes[0]}, with {self.tap} of the teacher '
                f'{type(self.teacher.model).__name__}, {shapes[1]}: {reason}. Name others with '
                'student= and teacher= of the loss')


def build_pairs(student: nn.Module, teachers: Sequence[Teacher],
                configs: Sequence[dict[str, Any] | Distillation]) -> list[Pair]:
    """Build the losses, find what they compare and check that it can be compared.

    Unless all are losses on the scores of classifiers that tell their number of classes, student
    and teachers run once for that.

    Raises:
        ValueError: an entry is no loss.
        ValueError: what a loss compares does not exist, or does not match; both sides are named.
    """
    asked = [(config, teacher) for config in configs for teacher in teachers_of(config, teachers)]
    pairs = [Pair([], find_tap(config, 'student', student), teacher,
                  find_tap(config, 'teacher', teacher.model), {}) for config, teacher in asked]
    for teacher in teachers:
        taps = {pair.tap.text: pair.tap for pair in pairs if pair.teacher is teacher}
        if not taps:
            raise UserError(f'no loss is for the teacher {type(teacher.model).__name__}: all '
                            'name another one with of=')
        teacher.watch(list(taps.values()))
    image = torch.zeros(1, *probe_shape(student, teachers))
    own = getattr(getattr(student, 'head', None), 'num_classes', None)
    size_known = student_size(student) is not None
    if own and all(compares_classes(find_kind(config), pair)
                   for pair, (config, _) in zip(pairs, asked)):
        for pair, (config, teacher) in zip(pairs, asked):
            check_classes(own, teacher)
            if size_known:
                teacher.probe(image)
            pair.losses.append(build_loss(config))
        return pairs
    ours = probe(student, image, [pair.student for pair in pairs])
    theirs = {id(teacher): teacher.probe(image) for teacher in teachers}
    for pair, (config, teacher) in zip(pairs, asked):
        if pair.student.text not in ours:
            pair.losses.append(build_unprobed(config, pair))
            continue
        outputs = pair.as_maps(find_kind(config), ours[pair.student.text],
                               theirs[id(teacher)][pair.tap.text], image)
        pair.losses.extend(build_losses(config, *outputs))
        # how the grids of a resized teacher compare depends on the size of the images to come
        pair.check(*outputs, grids=teacher.pixels.resize is None or size_known)
    return pairs


def teachers_of(config: dict[str, Any] | Distillation,
                teachers: Sequence[Teacher]) -> Sequence[Teacher]:
    """The teachers that a loss is for: all, or the one whose number is ``of``."""
    number = config.get('of') if isinstance(config, dict) else None
    if number is None:
        return teachers
    if not isinstance(number, int) or not 0 <= number < len(teachers):
        raise UserError(f'of={number!r} of a loss must be the number of a teacher, counted from '
                        f'0, but there are {len(teachers)}')
    return [teachers[number]]


def find_kind(config: dict[str, Any] | Distillation) -> type[Distillation]:
    """The class of a loss, or `ValueError`."""
    kind: Any = type(config)
    if isinstance(config, dict) and 'type' in config:
        kind = config['type'] if isinstance(config['type'], type) else MODELS.get(config['type'])
    if not isinstance(kind, type) or not issubclass(kind, Distillation):
        near = ''
        if kind is None and isinstance(config, dict):
            losses = [f'vit_plugin.{name}' for name, found in MODELS.module_dict.items()
                      if isinstance(found, type) and issubclass(found, Distillation)]
            near = did_you_mean(str(config['type']), losses)
        raise UserError('distillation must be the config of a loss, e.g. '
                        "dict(type='vit_plugin.HardDistillation'), or a list of such, got "
                        f'{config!r}{near}')
    return kind


def build_loss(config: dict[str, Any] | Distillation) -> Distillation:
    """The loss of a config."""
    if isinstance(config, Distillation):
        return config
    return MODELS.build({key: value for key, value in config.items() if key not in PLACES})


def takes_channels(config: dict[str, Any]) -> bool:
    """Whether a loss is built for the channels of what it compares."""
    return 'student_channels' in signature(find_kind(config)).parameters


def build_losses(config: dict[str, Any] | Distillation, student: list[Tensor],
                 teacher: list[Tensor]) -> list[Distillation]:
    """One loss for all outputs, or one for each pair of them with its channels."""
    if not isinstance(config, dict) or not takes_channels(config):
        return [build_loss(config)]
    return [build_loss({'student_channels': width(ours), 'teacher_channels': width(theirs),
                        **config}) for ours, theirs in zip(student, teacher)]


def build_unprobed(config: dict[str, Any] | Distillation, pair: Pair) -> Distillation:
    """The loss on a part of the student that no empty image reaches."""
    if (isinstance(config, dict) and takes_channels(config)
            and 'student_channels' not in config):
        raise UserError(f'the width of the outputs {pair.student} of the student is not '
                        f'known before training: give student_channels= and '
                        f'teacher_channels= of {find_kind(config).__name__}')
    return build_loss(config)


def width(x: Tensor) -> int:
    """Channels of features (B, C) or (B, C, H, W)."""
    return x.shape[1] if x.ndim > 1 else 1


def find_tap(config: dict[str, Any] | Distillation, side: str, model: nn.Module) -> Tap:
    """The output of a model that a loss compares: the one its config names, or else a default.

    Of scores: a classifier's last ones, the distillation token's where there is one, and those of
    a segmentor's ``decode_head.conv_seg``. Of maps: a classifier's backbone, else the neck or,
    without one, the backbone. A bare module's own output in any case.
    """
    kind = find_kind(config)
    if isinstance(config, dict) and config.get(side) is not None:
        tap = Tap(config[side])
        if tap.path:
            find_module(model, tap.path)
        return tap if tap.text else OUTPUT
    if not hasattr(model, 'data_preprocessor') or not hasattr(model, 'backbone'):
        return OUTPUT
    if kind.compares == 'maps':
        has_neck = not hasattr(model, 'head') and getattr(model, 'neck', None) is not None
        return Tap('neck' if has_neck else 'backbone')
    if hasattr(getattr(model, 'decode_head', None), 'conv_seg'):
        return Tap('decode_head.conv_seg')
    if side == 'teacher':
        return OUTPUT
    if getattr(model, 'head', None) is not None:
        return Tap('head.layers.head_dist' if hasattr(model.head, 'token_scores') else 'head')
    raise UserError(f'{kind.__name__} compares scores, and which those of {type(model).__name__} '
                    f"are is not obvious: name the module with {side}='...' of the loss")


def compares_classes(kind: type[Distillation], pair: Pair) -> bool:
    """Whether a loss takes the scores of a whole image, from a classifier that tells how many."""
    return (kind.compares == 'scores' and 2 in kind.dims and not pair.tap.text
            and bool(pair.teacher.num_classes))


def check_classes(own: int, teacher: Teacher) -> None:
    """Raise `ValueError` unless a student has as many classes as its teacher."""
    if own != teacher.num_classes:
        raise UserError(f'the student has {own} classes, but its teacher {teacher.num_classes}: '
                        'both must have the same')
