"""A model of any toolkit together with its teachers."""
import logging
from typing import Any
from weakref import ref

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from vit_plugin.errors import UserError

from .build_pairs import build_pairs
from .losses import agreement
from .module_outputs import RecordedOutputs
from .stored_outputs import open_stores
from .teacher import Teacher, build_teacher

Losses = dict[str, Any]
Samples = list[BaseDataElement] | None


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
        UserError: student and teacher do not match, or the teacher has no usable checkpoint.
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
            configs, losses = listed(teacher), listed(distillation)
            if not configs or not losses:
                raise UserError(f'nothing is distilled with teacher={teacher!r} and distillation='
                                f'{distillation!r}: name one of both at least')
            self.teachers = [build_teacher(config, self.data_preprocessor, self.scope)
                             for config in configs]
            self.pairs = build_pairs(self, self.teachers, losses)
        for found in self.teachers:
            found.owner = ref(self)
        learning = [loss for pair in self.pairs for loss in pair.losses]
        self.distillation = learning[0] if len(learning) == 1 else nn.ModuleList(learning)
        if self.share > 1:
            raise UserError(f'the weights of the losses on scores add up to {self.share}, and '
                            'leave nothing to the labels: 1 is the most')
        self.stores = open_stores(configs, self.teachers, self.pairs, self.data_preprocessor)
        self._register_state_dict_hook(move_learnt_to_metadata)

    @property
    def teacher(self) -> Teacher:
        """The first teacher."""
        return self.teachers[0]

    @property
    def share(self) -> float:
        """Share of the teachers in the total, of which the labels' losses have the rest."""
        return sum(pair.weight for pair in self.pairs if pair.is_share)

    def check_student(self, labels: bool) -> None:
        """Raise `UserError` where the student cannot be distilled as asked."""
        heads = [name for name, child in self.named_children()
                 if 'head' in name and list(child.parameters())]
        if not labels and heads:
            raise UserError(f'labels=False trains no head, but the student has {heads}: set them '
                            'to None')

    def loss(self, inputs: Tensor, data_samples: Samples = None) -> Losses:
        """Images (B, 3, H, W) -> the student's losses, and ``loss_distill`` for each loss.

        A loss of weight 0 is 0, and a teacher without another does not run.
        """
        # 1. Student: its own losses, and the outputs that are compared
        with RecordedOutputs(self, [pair.student.tap for pair in self.pairs]) as student:
            losses = self.own_losses(inputs, data_samples)

        # 2. Teachers: their outputs for the same pixels
        pairs = [pair for pair in self.pairs if pair.weight > 0]
        teachers = {teacher: self.ask(teacher, inputs, data_samples)
                    for teacher in dict.fromkeys(pair.teacher for pair in pairs)}

        # 3. Pairs: tensors of a student beside those of a teacher
        matched = {}
        for pair in pairs:
            taught = teachers[pair.teacher][pair.theirs.tap.text]
            matched[pair.name] = pair.match(student[pair.student.tap], taught, inputs)

        # 4. Losses: the student's own, and one of each pair
        losses = scale_losses(losses, 1 - self.share)
        for pair in self.pairs:
            if pair in pairs:
                losses[pair.name] = pair(matched[pair.name], data_samples)
            else:
                losses[pair.name] = pair.zero(student[pair.student.tap])

        # 5. Log: how often student and teacher decide alike
        for pair in pairs:
            if pair.is_share:
                name = pair.name.replace('loss_distill', 'agreement')
                losses[name] = agreement(*matched[pair.name][0], pair.loss.sigmoid)
        return losses

    def own_losses(self, inputs: Tensor, data_samples: Samples) -> Losses:
        """The student's losses; its features are computed by the way."""
        if not self.labels:
            self.extract_feat(inputs)
            return {}
        return super().loss(inputs, data_samples)  # type: ignore[misc]

    def ask(self, teacher: Teacher, inputs: Tensor, data_samples: Samples
            ) -> dict[str, list[Tensor]]:
        """The outputs of a teacher, computed or stored."""
        if teacher in self.stores:
            return self.stores[teacher].outputs(inputs, data_samples)
        return teacher.outputs(inputs)

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> 'DistilledModel':
        super()._apply(fn, *args, **kwargs)
        for teacher in self.teachers:
            teacher.follow(self, fn)
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict,
                              *args: Any) -> None:
        """Take what the losses learnt from the metadata, where it is of the same losses."""
        learnt, saved = self.distillation.state_dict(), local_metadata.get('distillation') or {}
        if shapes_of(saved) == shapes_of(learnt):
            learnt = saved
        elif saved:
            print_log('What the losses of the checkpoint learnt is not taken: these are other '
                      'losses.', 'current', logging.WARNING)
        state_dict.update({f'{prefix}distillation.{key}': value for key, value in learnt.items()})
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def move_learnt_to_metadata(model: nn.Module, state_dict: dict, prefix: str, metadata: dict
                            ) -> None:
    """Move what the losses learnt from a state dict to its metadata."""
    start = f'{prefix}distillation.'
    learnt = [key for key in state_dict if key.startswith(start)]
    metadata['distillation'] = {key.removeprefix(start): state_dict.pop(key) for key in learnt}


def listed(configs: Any) -> list:
    """One config, or several, as a list."""
    return list(configs) if isinstance(configs, (list, tuple)) else [configs]


def shapes_of(state_dict: dict[str, Tensor]) -> dict[str, torch.Size]:
    """The shape of each entry."""
    return {key: value.shape for key, value in state_dict.items()}


def scale_losses(losses: Losses, factor: float) -> Losses:
    """The losses, or lists of losses, times a factor; what else is logged as it is."""
    if factor == 1:
        return losses
    scaled = dict(losses)
    for name, value in losses.items():
        if 'loss' in name:
            several = isinstance(value, (list, tuple))
            scaled[name] = [factor * item for item in value] if several else factor * value
    return scaled
