"""The student together with its teacher."""
from os import PathLike
from typing import Any

from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead
from torch import Tensor

from vit_plugin.backbones import DeiT
from vit_plugin.classification import DistilledDeiTHead
from vit_plugin.registry import MODELS

from .losses import Distillation, agreement
from .stored import StoredScores
from .teacher import build_teacher


@MODELS.register_module()
class DistilledClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` that also learns from a teacher.

    ::

        pixels ─┬─ student ─┬─ cls scores  ── label loss ────────── x (1 - weight) = loss_cls
                │           └─ dist scores ─┐
                └─ teacher ──── its scores ─┴ distillation loss ── x weight       = loss_distill

    The student's class token sees the labels only, its distillation token the teacher only. A
    student without a distillation token (Swin, any mmpretrain classifier) learns both with its
    only scores. The label loss is the ``loss`` of the head. Parameters, state dict and EMA are
    the student's alone, so checkpoints load into a plain ``ImageClassifier``.

    Args:
        *args: Those of ``ImageClassifier``.
        teacher: The teacher's config and checkpoint, see `build_teacher`. With ``store='FOLDER'``
            in it, its scores are computed by one run and read by later ones, see `StoredScores`.
        distillation: The loss, e.g. ``dict(type='vit_plugin.HardDistillation')``.
        **kwargs: Those of ``ImageClassifier``.

    Raises:
        TypeError: an argument is missing or of the wrong kind.
        ValueError: teacher and student differ in their number of classes, or the teacher has no
            usable checkpoint.
        FileNotFoundError: the teacher's config or checkpoint does not exist.
    """

    def __init__(self, *args: Any, teacher: dict[str, Any] | str | PathLike,
                 distillation: dict[str, Any] | Distillation, **kwargs: Any) -> None:
        # mmengine sets no scope outside a runner, and the student's parts are mmpretrain's.
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            super().__init__(*args, **kwargs)
            if isinstance(distillation, dict):
                distillation = MODELS.build(distillation)
        if not isinstance(distillation, Distillation):
            raise TypeError('distillation must be the config of HardDistillation or '
                            f'SoftDistillation, got {distillation!r}')
        if not isinstance(self.head, ClsHead):
            raise TypeError('the student needs a classification head (a ClsHead), '
                            f'got {self.head!r}')
        self.distillation = distillation
        self.teacher = build_teacher(teacher, self.data_preprocessor)
        if isinstance(self.backbone, DeiT):  # other students' sizes show at the first images
            height, width = (n * p for n, p in zip(self.backbone.grid,
                                                   self.backbone.patch_embed.patch_size))
            self.teacher.check_size(self.backbone.in_channels, (height, width))
        store = teacher.get('store') if isinstance(teacher, dict) else None
        self.teacher_scores = (StoredScores(store, self.teacher, distillation) if store
                               else self.teacher)
        student_classes = getattr(self.head, 'num_classes', None)
        if None not in (student_classes, self.teacher.num_classes) \
                and student_classes != self.teacher.num_classes:
            raise ValueError(f'the student has {student_classes} classes, but its teacher '
                             f'{self.teacher.num_classes}: both must have the same')

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Images (B, 3, H, W) -> ``loss_cls``, ``loss_distill`` and ``agreement``.

        With weight 0 the teacher does not run, and there is no ``agreement``.
        """
        features = self.extract_feat(inputs)
        cls_score, dist_score = self.scores(features)

        losses = self.head._get_loss(cls_score, data_samples)
        weight = self.distillation.weight
        losses['loss_cls'] = (1 - weight) * losses.pop('loss')
        if weight == 0:  # switched off; the term lets DDP find every parameter in the graph
            losses['loss_distill'] = 0 * dist_score.sum()
            return losses
        teacher_score = self.teacher_scores(inputs)
        losses['loss_distill'] = weight * self.distillation(dist_score, teacher_score)
        losses['agreement'] = agreement(dist_score, teacher_score)
        return losses

    def scores(self, features: tuple) -> tuple[Tensor, Tensor]:
        """The scores (B, num_classes) for the labels and for the teacher."""
        if isinstance(self.head, DistilledDeiTHead):
            return self.head.token_scores(features)
        score = self.head(features)
        return score, score

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> 'DistilledClassifier':
        super()._apply(fn, *args, **kwargs)
        self.teacher.apply(fn)
        return self
