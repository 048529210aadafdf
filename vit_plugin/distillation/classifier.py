"""The student together with its teacher."""
from typing import Any

from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads import ClsHead
from torch import Tensor

from vit_plugin.backbones.heads import DistilledDeiTHead
from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .model import DistilledModel


@MODELS.register_module()
class DistilledClassifier(DistilledModel, ImageClassifier):
    """mmpretrain's ``ImageClassifier`` that also learns from a teacher.

    ::

        pixels ─┬─ student ─┬─ cls scores  ── label loss ────────── x (1 - weight) = loss_cls
                │           └─ dist scores ─┐
                └─ teacher ──── its scores ─┴ distillation loss ── x weight       = loss_distill

    The student's class token sees the labels only, its distillation token the teacher only. A
    student without a distillation token (Swin, any mmpretrain classifier) learns both with its
    only scores. The label loss is the ``loss`` of the head. Arguments are those of
    ``ImageClassifier`` and of `DistilledModel`, whose mechanism it is.
    """

    scope = 'mmpretrain'

    def check_student(self, labels: bool) -> None:
        super().check_student(labels)
        if not isinstance(self.head, ClsHead):
            raise UserError('the student needs a classification head (a ClsHead), '
                            f'got {self.head!r}')
        if type(self.head).loss not in (ClsHead.loss, DistilledDeiTHead.loss):
            raise UserError(
                f'{type(self.head).__name__} computes its loss in a way of its own, which this '
                "model does not: take type='vit_plugin.Distilled', "
                "student_type='mmpretrain.ImageClassifier'")

    def own_losses(self, inputs: Tensor, data_samples: list | None) -> dict[str, Any]:
        cls_score, _ = self.scores(self.extract_feat(inputs))
        losses = self.head._get_loss(cls_score, data_samples)
        return {'loss_cls': losses.pop('loss'), **losses}

    def scores(self, features: tuple) -> tuple[Tensor, Tensor]:
        """The scores (B, num_classes) for the labels and for the teacher."""
        if isinstance(self.head, DistilledDeiTHead):
            return self.head.token_scores(features)
        score = self.head(features)
        return score, score
