"""Models that take pixels and give answers, as they are exported."""
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin.errors import UserError

from .kinds import names_of
from .pixels import Pixels
from .sizes import exportable


class Deployed(nn.Module):
    """RGB pixels from 0 to 255 (B, 3, H, W) -> a tuple of `outputs`.

    Args:
        model: A toolkit's model with its weights; it is copied.
    """

    outputs: Mapping[str, str]  # name -> what it is, for the metadata
    task = ''
    any_batch = True

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.pixels = Pixels(model.data_preprocessor)
        self.model: Any = exportable(model)


class DeployedClassifier(Deployed):
    """(B, 3, H, W) -> the probabilities of the classes (B, num_classes)."""

    task = 'classification'

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.outputs = {'scores': 'probability of each class, (batch, classes)'}
        kinds = names_of(self.model.head)
        self.is_multi_label = 'mmpretrain.MultiLabelClsHead' in kinds

    def forward(self, image: Tensor) -> tuple[Tensor]:
        logits = self.model.head(self.model.extract_feat(self.pixels(image)))
        return (logits.sigmoid() if self.is_multi_label else logits.softmax(1),)


class DeployedSegmentor(Deployed):
    """(B, 3, H, W) -> the labels (B, H, W) of the pixels, or their logits (B, num_classes, H, W).

    Args:
        model: An mmseg ``EncoderDecoder``.
        logits: Give the logits.

    Raises:
        UserError: the model predicts in several pieces or stages.
    """

    task = 'segmentation'

    def __init__(self, model: Any, logits: bool = False) -> None:
        if 'mmseg.CascadeEncoderDecoder' in names_of(model):
            raise UserError('export knows segmentors of one decode head, got a '
                            'CascadeEncoderDecoder')
        mode = model.test_cfg.get('mode', 'whole')
        if mode != 'whole':
            raise UserError(f"the model predicts with test_cfg mode='{mode}', in pieces of one "
                            'size, which a file for images of any size cannot. Take the whole '
                            "image: --cfg-options model.test_cfg.mode=whole; or cut the image into "
                            'pieces outside of the model')
        super().__init__(model)
        self.logits = logits
        self.outputs = {'labels': 'class of each pixel, (batch, height, width)'}
        if logits:
            self.outputs = {'logits': 'score of each class, (batch, classes, height, width)'}

    def forward(self, image: Tensor) -> tuple[Tensor]:
        head = self.model.decode_head
        x = self.pixels(image)
        logits = head(self.model.extract_feat(x))
        logits = F.interpolate(logits, size=x.shape[2:], mode='bilinear',
                               align_corners=head.align_corners)
        logits = logits[:, :, :image.shape[2], :image.shape[3]]
        if self.logits:
            return (logits,)
        if head.out_channels == 1:
            return ((logits.sigmoid() > head.threshold).squeeze(1).long(),)
        return (logits.argmax(1),)
