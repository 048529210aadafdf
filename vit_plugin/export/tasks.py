"""The deployed form of each kind of model."""
from typing import Any

from vit_plugin.errors import UserError

from .deployed import Deployed, DeployedClassifier, DeployedSegmentor
from .kinds import names_of


def deploy(model: Any, logits: bool = False) -> Deployed:
    """The deployed form of a toolkit's model.

    Raises:
        UserError: there is none for this kind of model.
    """
    kinds = names_of(model)
    if 'mmseg.EncoderDecoder' in kinds:
        return DeployedSegmentor(model, logits)
    if logits:
        raise UserError('--logits is for segmentors; other models give probabilities')
    if 'mmdet.SingleStageDetector' in kinds:
        from .detectors import DeployedDetector  # needs torchvision
        return DeployedDetector(model)
    if 'mmdet.TwoStageDetector' in kinds:
        from .two_stage import DeployedTwoStage
        return DeployedTwoStage(model)
    if 'mmpretrain.ImageClassifier' in kinds:
        return DeployedClassifier(model)
    raise UserError(f'export does not know how to deploy a {type(model).__name__}: it takes '
                    "mmpretrain's ImageClassifier, mmseg's EncoderDecoder and mmdet's "
                    'SingleStageDetector, and what is derived from them')
