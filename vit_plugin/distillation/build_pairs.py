"""Building the losses from their configs, each with what it compares."""
from collections import Counter
from collections.abc import Sequence
from inspect import signature
from typing import Any

from torch import Tensor, nn

from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.registry import MODELS

from .dry_run import dry_run_student, empty_image, training_size
from .losses import Distillation
from .module_outputs import OUTPUT, Tap, find_module
from .pairs import Matched, Pair, Side
from .queries import HEADS, require_no_queries
from .score_activation import needs_sigmoid, uses_sigmoid
from .teacher import Teacher

# Keys of a loss's config that choose what it compares; the loss itself does not take them.
PLACES = ('student', 'teacher', 'of')
CHANNELS = ('student_channels', 'teacher_channels')

LossConfig = dict[str, Any] | Distillation


def build_pairs(student: nn.Module, teachers: Sequence[Teacher], configs: Sequence[LossConfig]
                ) -> list[Pair]:
    """Find what each loss compares, run student and teachers once for its shapes, and build it.

    Raises:
        UserError: an entry is no loss.
        UserError: what a loss compares does not exist, or does not match; both sides are named.
    """
    asked = [(config, teacher) for config in configs for teacher in teachers_of(config, teachers)]
    pairs = [Pair(loss_class(config), find_side(config, 'student', student), teacher,
                  find_side(config, 'teacher', teacher.model)) for config, teacher in asked]
    for teacher in teachers:
        teacher.record(taps_of(teacher, pairs))
    image = empty_image(student, teachers)
    any_size = training_size(student) is None
    ours = dry_run_student(student, image, [pair.student.tap for pair in pairs])
    theirs = {teacher: teacher.dry_run(image, any_size) for teacher in teachers}
    for pair, (config, teacher) in zip(pairs, asked):
        one = ours.get(pair.student.tap.text)
        other = theirs[teacher].get(pair.theirs.tap.text)
        if one is None or other is None:
            pair.losses = build_losses(config, pair, [])
            continue
        matched = pair.convert(one, other, image)
        pair.losses = build_losses(config, pair, matched)
        # how the grids of a resized teacher compare depends on the size of the images to come
        pair.require_match(matched, grids=teacher.pixels.resize is None or not any_size)
    name_losses(pairs)
    return pairs


def taps_of(teacher: Teacher, pairs: Sequence[Pair]) -> list[Tap]:
    """The outputs of a teacher that are compared, each once."""
    taps = {pair.theirs.tap.text: pair.theirs.tap for pair in pairs if pair.teacher is teacher}
    if not taps:
        raise UserError(f'no loss is for the teacher {teacher.name}: all name another one with of=')
    return list(taps.values())


def teachers_of(config: LossConfig, teachers: Sequence[Teacher]) -> Sequence[Teacher]:
    """The teachers that a loss is for: all, or the one whose number is ``of``."""
    number = config.get('of') if isinstance(config, dict) else None
    if number is None:
        return teachers
    if not isinstance(number, int) or not 0 <= number < len(teachers):
        raise UserError(f'of={number!r} of a loss must be the number of a teacher, counted from '
                        f'0, but there are {len(teachers)}')
    return [teachers[number]]


def loss_class(config: LossConfig) -> type[Distillation]:
    """The class of a loss, or `UserError`."""
    if isinstance(config, Distillation):
        return type(config)
    name = config.get('type') if isinstance(config, dict) else None
    kind = MODELS.get(name) if isinstance(name, str) else name
    if isinstance(kind, type) and issubclass(kind, Distillation):
        return kind
    losses = [f'vit_plugin.{name}' for name, found in MODELS.module_dict.items()
              if isinstance(found, type) and issubclass(found, Distillation)]
    near = did_you_mean(name, losses) if isinstance(name, str) else ''
    raise UserError('distillation must be the config of a loss, e.g. '
                    "dict(type='vit_plugin.HardDistillation'), or a list of such, got "
                    f'{config!r}{near}')


def build_losses(config: LossConfig, pair: Pair, matched: Matched) -> list[Distillation]:
    """One loss for all tensors, or one for each two of them with layers of their widths.

    Without tensors, as of a student's part that no empty image reaches, the config names widths.
    """
    if isinstance(config, Distillation):
        return [config]
    arguments = {key: value for key, value in config.items() if key not in PLACES}
    if pair.kind.over_classes and 'sigmoid' not in arguments and needs_sigmoid(pair, matched):
        arguments['sigmoid'] = True
    if 'student_channels' not in signature(pair.kind).parameters:
        return [MODELS.build(arguments)]
    if matched:
        widths = [dict(zip(CHANNELS, map(channels_of, tensors))) for tensors in matched]
        return [MODELS.build({**width, **arguments}) for width in widths]
    if not arguments.keys() >= set(CHANNELS):
        raise UserError(f'the width of the outputs {pair.student.tap} of the student is not known '
                        'before training: give student_channels= and teacher_channels= of '
                        f'{pair.kind.__name__}')
    return [MODELS.build(arguments)]


def channels_of(x: Tensor) -> int:
    """C of features (B, C) or (B, C, H, W)."""
    return x.shape[1] if x.ndim > 1 else 1


def find_side(config: LossConfig, side: str, model: nn.Module) -> Side:
    """The output of a model that a loss compares, and how it is read."""
    tap = find_tap(config, side, model)
    return Side(tap, 4 in loss_class(config).dims, uses_sigmoid(model, tap.path))


def find_tap(config: LossConfig, side: str, model: nn.Module) -> Tap:
    """The output of a model that a loss compares: the one its config names, or else a default.

    Of scores: a classifier's last ones, the distillation token's where there is one, and those of
    a segmentor's ``decode_head.conv_seg``. Of maps: a classifier's backbone, else the neck or,
    without one, the backbone. A bare module's own output in any case.
    """
    named = config.get(side) if isinstance(config, dict) else None
    if named is not None:
        tap = Tap(named)
        if tap.path:
            find_module(model, tap.path)
        require_no_queries(loss_class(config).__name__, model, tap.path)
        return tap if tap.text else OUTPUT
    if not hasattr(model, 'data_preprocessor') or not hasattr(model, 'backbone'):
        return OUTPUT
    kind = loss_class(config)
    if kind.compares == 'maps':
        has_neck = not hasattr(model, 'head') and getattr(model, 'neck', None) is not None
        return Tap('neck' if has_neck else 'backbone')
    if hasattr(getattr(model, 'decode_head', None), 'conv_seg'):
        return Tap('decode_head.conv_seg')
    if side == 'teacher':
        return OUTPUT
    if getattr(model, 'head', None) is not None:
        return Tap('head.layers.head_dist' if hasattr(model.head, 'token_scores') else 'head')
    for head in HEADS:
        require_no_queries(kind.__name__, model, head)
    raise UserError(f'{kind.__name__} compares scores, and which those of {type(model).__name__} '
                    f"are is not obvious: name the module with {side}='...' of the loss")


def name_losses(pairs: Sequence[Pair]) -> None:
    """Name several losses ``loss_distill_CLASS``, with a number where classes are equal."""
    counts: Counter[str] = Counter()
    for pair in pairs if len(pairs) > 1 else ():
        kind = pair.kind.__name__.lower()
        number = f'_{counts[kind]}' if counts[kind] else ''
        pair.name = f'loss_distill_{kind}{number}'
        counts[kind] += 1
