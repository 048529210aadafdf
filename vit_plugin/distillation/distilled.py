"""A model of any toolkit together with its teachers."""
import logging
from collections import Counter
from functools import cache
from typing import Any
from weakref import ref

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS
from vit_plugin.toolkits import TOOLKITS

from .frozen import Teacher
from .losses import Distillation, ScoreDistillation, agreement
from .pairs import Pair, build_pairs
from .stored import StoredOutputs, mixes_of
from .taps import Watch
from .teacher import build_teacher


class DistilledModel(BaseModel):
    """Mixin: a model of mmpretrain, mmdet or mmseg that learns from teachers, too.

    ::

        pixels ─┬─ student ─┬─ its own losses
                │           └─ outputs of its modules ─┐
                └─ teachers ── outputs of theirs ──────┴ distillation ── x weight = loss_distill

    Parameters are the student's and those that the losses learn (projections). State dict and
    checkpoints have the keys of the student alone, so they load into the plain model; what the
    losses learnt travels in the state dict's metadata, for resuming.

    Args:
        *args: Those of the student.
        teacher: One teacher's config, or a list of them, see `build_teacher`. With
            ``store='FOLDER'`` in it, its outputs are computed by one run and read by later ones,
            see `StoredOutputs`.
        distillation: A loss's config, or a list of them. Beside the loss's arguments each takes
            ``student`` and ``teacher``, what it compares (see `Tap`), and ``of``, the number of
            its only teacher.
        labels: ``False`` for a student that learns from its teachers alone. It must have no head.
        **kwargs: Those of the student.

    Raises:
        ValueError: an argument is missing or of the wrong kind.
        ValueError: student and teacher do not match, or the teacher has no usable checkpoint.
        FileNotFoundError: a teacher's config or checkpoint does not exist.
    """

    scope: str | None = None  # of the names in the configs of student and teachers
    data_preprocessor: Any
    extract_feat: Any
    head: Any

    def __init__(self, *args: Any, teacher: Any, distillation: Any, labels: bool = True,
                 **kwargs: Any) -> None:
        # mmengine sets no scope outside a runner
        with DefaultScope.overwrite_default_scope(self.scope):
            super().__init__(*args, **kwargs)
            self.check_student(labels)
            self.labels = labels
            configs = teacher if isinstance(teacher, (list, tuple)) else [teacher]
            several = isinstance(distillation, (list, tuple))
            if not configs or (several and not distillation):
                raise UserError(f'nothing is distilled with teacher={teacher!r} and distillation='
                                f'{distillation!r}: name one of both at least')
            self.teachers = [build_teacher(config, self.data_preprocessor, self.scope)
                             for config in configs]
            self.pairs = build_pairs(self, self.teachers,
                                     distillation if several else [distillation])
        for found in self.teachers:
            found.owner = ref(self)
        losses = [loss for pair in self.pairs for loss in pair.losses]
        self.distillation = losses[0] if len(losses) == 1 else nn.ModuleList(losses)
        self.names = name_losses(self.pairs)
        self.share = sum(pair.weight for pair in self.pairs if takes_share(pair))
        if self.share > 1:
            raise UserError(f'the weights of the losses on scores add up to {self.share}, and '
                            'leave nothing to the labels: 1 is the most')
        self.stores = [self.open_store(teacher, config)
                       for teacher, config in zip(self.teachers, configs)]
        self._register_state_dict_hook(set_learnt_apart)

    @property
    def teacher(self) -> Teacher:
        """The first teacher."""
        return self.teachers[0]

    def check_student(self, labels: bool) -> None:
        """Raise where the student cannot be distilled as asked."""
        heads = [name for name, child in self.named_children()
                 if 'head' in name and any(True for _ in child.parameters())]
        if not labels and heads:
            raise UserError(f'labels=False trains no head, but the student has {heads}: set them '
                            'to None')

    def open_store(self, teacher: Teacher, config: Any) -> StoredOutputs | None:
        """The store of a teacher's outputs, if its config names a folder for them."""
        folder = config.get('store') if isinstance(config, dict) else None
        if not folder:
            return None
        losses: dict[str, list[Distillation]] = {}
        for pair in self.pairs:
            if pair.teacher is teacher:
                losses.setdefault(pair.tap.text, []).append(pair.losses[0])
        return StoredOutputs(folder, teacher, losses, mixes_of(self.data_preprocessor))

    def own_losses(self, inputs: Tensor, data_samples: list | None) -> dict[str, Any]:
        """The student's losses; its features are computed by the way."""
        if not self.labels:
            self.extract_feat(inputs)
            return {}
        return super().loss(inputs, data_samples)  # type: ignore[misc]

    def loss(self, inputs: Tensor, data_samples: list | None = None) -> dict[str, Any]:
        """Images (B, 3, H, W) -> the student's losses, and ``loss_distill`` for each loss.

        With weight 0 a teacher does not run.
        """
        with Watch(self, [pair.student for pair in self.pairs]) as seen:
            losses = self.own_losses(inputs, data_samples)
        self.share = sum(pair.weight for pair in self.pairs if takes_share(pair))
        if self.share:
            losses = {name: scale(value, 1 - self.share) if 'loss' in name else value
                      for name, value in losses.items()}
        outputs: dict[int, dict[str, list[Tensor]]] = {}
        for name, pair in zip(self.names, self.pairs):
            student = seen[pair.student]
            if pair.weight == 0:  # the term lets DDP find every parameter in the graph
                learnt = (p for loss in pair.losses for p in loss.parameters())
                losses[name] = 0 * sum(x.sum() for x in (*student, *learnt))
                continue
            if id(pair.teacher) not in outputs:
                outputs[id(pair.teacher)] = self.ask(pair.teacher, inputs, data_samples)
            teacher = outputs[id(pair.teacher)][pair.tap.text]
            labels = find_labels(data_samples) if pair.losses[0].needs_labels else None
            losses[name] = pair.weight * pair(student, teacher, inputs, labels)
            if takes_share(pair):
                losses[name.replace('loss_distill', 'agreement')] = agreement(student[0],
                                                                              teacher[0])
        return losses

    def ask(self, teacher: Teacher, inputs: Tensor, data_samples: list | None
            ) -> dict[str, list[Tensor]]:
        """The outputs of a teacher, computed or stored."""
        store = self.stores[self.teachers.index(teacher)]
        return teacher.outputs(inputs) if store is None else store.outputs(inputs, data_samples)

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> 'DistilledModel':
        super()._apply(fn, *args, **kwargs)
        for teacher in self.teachers:
            teacher.follow(self, fn)
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict,
                              *args: Any) -> None:
        learnt, saved = self.distillation.state_dict(), local_metadata.get('distillation') or {}
        if {key: value.shape for key, value in saved.items()} == {
                key: value.shape for key, value in learnt.items()}:
            learnt = saved
        elif saved:
            print_log('What the losses of the checkpoint learnt is not taken: these are other '
                      'losses.', 'current', logging.WARNING)
        state_dict.update({f'{prefix}distillation.{key}': value for key, value in learnt.items()})
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def set_learnt_apart(model: nn.Module, state_dict: dict, prefix: str, metadata: dict) -> None:
    """Move what the losses learnt from a state dict to its metadata."""
    start = f'{prefix}distillation.'
    learnt = [key for key in state_dict if key.startswith(start)]
    metadata['distillation'] = {key.removeprefix(start): state_dict.pop(key) for key in learnt}


@MODELS.register_module(name='Distilled')
def distilled(student_type: str | type | None = None, **kwargs: Any) -> DistilledModel:
    """Build any model of mmpretrain, mmdet or mmseg with teachers: `DistilledModel`.

    Args:
        student_type: What ``type`` would be without distillation, e.g. ``'MaskRCNN'``.
        **kwargs: Those of the student, and of `DistilledModel`.

    Raises:
        ValueError: ``student_type`` is missing, or no model of these toolkits.
    """
    if student_type is None:
        raise UserError("vit_plugin.Distilled needs student_type='...', what the type of the model "
                        "would be without a teacher, e.g. 'MaskRCNN'")
    kind: Any = student_type
    if isinstance(student_type, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            kind = registry.get(student_type)
    if not isinstance(kind, type) or not issubclass(kind, BaseModel):
        raise UserError(f'student_type={student_type!r} is no model of mmpretrain, mmdet or mmseg; '
                        "outside of a run, or in one of another toolkit, it needs its own in "
                        "front, e.g. 'mmdet.MaskRCNN'")
    return distilled_class(kind)(**kwargs)


@cache
def distilled_class(kind: type) -> type:
    """A model's class with `DistilledModel`."""
    toolkit = kind.__module__.split('.')[0]
    return type(f'Distilled{kind.__name__}', (DistilledModel, kind),
                dict(scope=toolkit if toolkit in TOOLKITS else None, __module__=__name__,
                     __reduce__=lambda self: (new_distilled, (kind,), self.__dict__)))


def new_distilled(kind: type) -> DistilledModel:
    """A model without state, for `pickle`, which does not find the class by a name."""
    cls: Any = distilled_class(kind)
    return cls.__new__(cls)


def takes_share(pair: Pair) -> bool:
    """Whether a loss stands beside the labels' in the ratio of its weight."""
    return isinstance(pair.losses[0], ScoreDistillation)


def scale(value: Any, factor: float) -> Any:
    """A loss, or a list of losses, times a factor."""
    return [item * factor for item in value] if isinstance(value, (list, tuple)) else factor * value


def name_losses(pairs: list[Pair]) -> list[str]:
    """``loss_distill``; with several losses their classes after it, and a number where equal."""
    if len(pairs) == 1:
        return ['loss_distill']
    kinds = [type(pair.losses[0]).__name__.lower() for pair in pairs]
    counts: Counter[str] = Counter()
    names = []
    for kind in kinds:
        names.append(f'loss_distill_{kind}' + (f'_{counts[kind]}' if counts[kind] else ''))
        counts[kind] += 1
    return names


def find_labels(data_samples: list | None) -> Tensor | None:
    """The classes (B,) of a batch's images, where each has one."""
    if not data_samples or any('gt_label' not in sample or 'gt_score' in sample
                               for sample in data_samples):
        return None
    return torch.cat([sample.gt_label for sample in data_samples])
