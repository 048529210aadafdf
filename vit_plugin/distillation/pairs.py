"""What of a student is compared with what of a teacher, by which loss."""
from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .frozen import OUTPUT, Teacher, find_entry, find_size
from .losses import Distillation
from .taps import Tap, Watch, as_map, find_module, is_channels_last

# Height and width of the empty image that is run once: the map of every stride up to 128 differs
# from the others, and few widths of layers have the proportion of the sides (`is_channels_last`).
PROBE = (128, 160)
# What a loss's config says to the mechanism, not to the loss.
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

    Unless all are losses on the classifiers' scores, student and teachers run once for that.

    Raises:
        ValueError: an entry is no loss.
        ValueError: what a loss compares does not exist, or does not match; both sides are named.
    """
    pairs = [Pair([], find_tap(config, 'student', student), teacher,
                  find_tap(config, 'teacher', teacher.model), {})
             for config in configs for teacher in teachers_of(config, teachers)]
    asked = [config for config in configs for _ in teachers_of(config, teachers)]
    for teacher in teachers:
        taps = {pair.tap.text: pair.tap for pair in pairs if pair.teacher is teacher}
        if not taps:
            raise UserError(f'no loss is for the teacher {type(teacher.model).__name__}: all '
                            'name another one with of=')
        teacher.watch(list(taps.values()))
    image = torch.zeros(1, *probe_shape(student, teachers))
    if all(find_kind(config).compares == 'scores' and pair.tap is OUTPUT
           for pair, config in zip(pairs, asked)):
        for pair, config in zip(pairs, asked):
            check_classes(student, pair.teacher)
            if student_size(student):
                pair.teacher.probe(image)
            pair.losses.append(build_loss(config))
        return pairs
    size_known = student_size(student) is not None
    ours = probe(student, image, [pair.student for pair in pairs])
    theirs = {id(teacher): teacher.probe(image) for teacher in teachers}
    for pair, config in zip(pairs, asked):
        kind, others = find_kind(config), theirs[id(pair.teacher)][pair.tap.text]
        if pair.student.text not in ours:  # a part of the student that no empty image reaches
            pair.losses.append(build_loss(config))
            continue
        own, others = pair.as_maps(kind, ours[pair.student.text], others, image)
        if isinstance(config, dict) and 'student_channels' in signature(kind).parameters:
            pair.losses.extend(build_loss({'student_channels': width(one),
                                           'teacher_channels': width(other), **config})
                               for one, other in zip(own, others))
        else:
            pair.losses.append(build_loss(config))
        # how the grids of a resized teacher compare depends on the size of the images to come
        pair.check(own, others, pair.teacher.pixels.resize is None or size_known)
    return pairs


def teachers_of(config: dict[str, Any] | Distillation,
                teachers: Sequence[Teacher]) -> Sequence[Teacher]:
    """Those of the teachers that a loss is for: all, or the one whose number is ``of``."""
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
        raise UserError('distillation must be the config of a loss, e.g. '
                        f"dict(type='vit_plugin.HardDistillation'), or a list of such, got "
                        f'{config!r}')
    return kind


def build_loss(config: dict[str, Any] | Distillation) -> Distillation:
    """The loss of a config."""
    if isinstance(config, Distillation):
        return config
    return MODELS.build({key: value for key, value in config.items() if key not in PLACES})


def width(x: Tensor) -> int:
    """Channels of features (B, C) or (B, C, H, W)."""
    return x.shape[1] if x.ndim > 1 else 1


def find_tap(config: dict[str, Any] | Distillation, side: str, model: nn.Module) -> Tap:
    """What a loss compares of a model: what its config says, or else the obvious.

    Of scores: a classifier's last ones, the distillation token's where there is one, and those of
    a segmentor's ``decode_head.conv_seg``. Of maps: a classifier's backbone, else the neck or,
    without one, the backbone. A bare module's own output in any case.
    """
    kind = find_kind(config)
    if isinstance(config, dict) and config.get(side) is not None:
        tap = Tap(config[side])
        if tap.path:
            find_module(model, tap.path)
        return tap
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


def check_classes(student: nn.Module, teacher: Teacher) -> None:
    """Raise `ValueError` unless a student has as many classes as a teacher's."""
    own = getattr(getattr(student, 'head', None), 'num_classes', None)
    if None not in (own, teacher.num_classes) and own != teacher.num_classes:
        raise UserError(f'the student has {own} classes, but its teacher {teacher.num_classes}: '
                        'both must have the same')


def probe_shape(student: nn.Module, teachers: Sequence[Teacher]) -> tuple[int, int, int]:
    """Channels, height and width of an image that student and teachers can take."""
    channels = getattr(getattr(student, 'backbone', None), 'in_channels', 3)
    sizes = [find_size(teacher.model) for teacher in teachers
             if teacher.pixels.resize is None and not hasattr(teacher.model, 'backbone')]
    size = student_size(student) or next((size for size in sizes if size is not None), PROBE)
    return channels if isinstance(channels, int) else 3, *size


def student_size(student: nn.Module) -> tuple[int, int] | None:
    """(height, width) of the images that a student's DeiT is made for; ``None`` for others."""
    backbone: Any = getattr(student, 'backbone', None)
    if not hasattr(backbone, 'pos_embed') or not hasattr(backbone, 'grid'):
        return None
    (rows, columns), (height, width) = backbone.grid, backbone.patch_embed.patch_size
    return rows * height, columns * width


@torch.no_grad()
def probe(student: nn.Module, image: Tensor, taps: Sequence[Tap]) -> dict[str, list[Tensor]]:
    """A student's outputs for an image, by the tap's text, and the student as it was before.

    What only boxes lead to, as a detector's ``roi_head``, is left out.
    """
    taps = [tap for tap in taps if tap.path.split('.')[0] not in ('roi_head', 'rpn_head')]
    training = {module: module.training for module in student.modules()}
    student.eval()
    try:
        with Watch(student, taps) as seen:
            find_entry(student, taps)(image)
    finally:
        for module, mode in training.items():
            module.training = mode
    return {tap.text: seen[tap] for tap in taps}
