"""mmdet's detectors as they are exported, with anchors, decoding and NMS inside."""
from typing import Any

import torch
from torch import Tensor

from vit_plugin.errors import UserError

from .boxes import decode, grid_anchors, suppress
from .deployed import Deployed
from .kinds import names_of

BOXES = {'boxes': 'x1, y1, x2, y2 in pixels of the input, (boxes, 4)',
         'scores': 'of each box, falling, (boxes)', 'labels': 'class, (boxes)'}


class DeployedDetector(Deployed):
    """(1, 3, H, W) -> boxes (N, 4), scores (N,) and labels (N,) of a one-stage detector.

    Computes what ``predict_by_feat`` of mmdet's `AnchorHead` does (RetinaNet, ATSS), for one image.

    Args:
        model: An mmdet ``SingleStageDetector``.

    Raises:
        UserError: the head has no anchors, or decodes boxes in another way.
    """

    task = 'detection'
    any_batch = False

    def __init__(self, model: Any) -> None:
        head = model.bbox_head
        check_head(head)
        super().__init__(model)
        self.outputs = BOXES

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head, settings = self.model.bbox_head, self.model.bbox_head.test_cfg
        size = (image.shape[2], image.shape[3])
        outs = head(self.model.extract_feat(self.pixels(image)))
        levels = [self.candidates(level, *maps) for level, maps in enumerate(zip(*outs))]
        anchors, deltas, scores, labels = (torch.cat(parts) for parts in zip(*levels))
        boxes = decode(head.bbox_coder, anchors, deltas, size)
        extent = boxes[:, 2:] - boxes[:, :2]
        large = (extent > settings.get('min_bbox_size', -1)).all(1).nonzero().squeeze(1)
        boxes, scores, labels = boxes[large], scores[large], labels[large]
        kept = suppress(boxes, scores, labels, settings.nms.iou_threshold,
                        torch.sym_max(*size))[:settings.max_per_img]
        return boxes[kept], scores[kept], labels[kept]

    def candidates(self, level: int, logits: Tensor, deltas: Tensor,
                   centerness: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Anchors, deltas, scores and labels of the best ``nms_pre`` of a level's places.

        Args:
            level: Its number.
            logits: (1, A * num_classes, h, w).
            deltas: (1, A * 4, h, w).
            centerness: (1, A, h, w), multiplied with the scores that are over ``score_thr``.
        """
        head, settings = self.model.bbox_head, self.model.bbox_head.test_cfg
        anchors = grid_anchors(head.prior_generator, level, logits.shape[2], logits.shape[3])
        scores = logits[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
        scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[:, :-1]
        place, label = (scores > settings.score_thr).nonzero().unbind(1)
        scores, order = scores[place, label].sort(descending=True)
        order = order[:settings.nms_pre]
        place, label, scores = place[order], label[order], scores[:settings.nms_pre]
        if centerness is not None:
            scores = scores * centerness[0].permute(1, 2, 0).reshape(-1).sigmoid()[place]
        deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)
        return anchors[place], deltas[place], scores, label


def check_head(head: Any) -> None:
    """Raise `UserError` unless the head decodes and suppresses boxes as this module does."""
    if 'mmdet.AnchorHead' not in names_of(head):
        raise UserError('export knows heads with anchors (RetinaNet, ATSS, RPN), got a '
                        f'{type(head).__name__}')
    check_coder(head)
    check_suppression(head.test_cfg)


def check_coder(head: Any) -> None:
    """Raise `UserError` for a coder of boxes other than `decode` knows."""
    coder = head.bbox_coder
    if type(coder).__name__ != 'DeltaXYWHBBoxCoder' or coder.add_ctr_clamp:
        raise UserError('export knows the DeltaXYWHBBoxCoder without add_ctr_clamp, got a '
                        f'{type(coder).__name__} in the {type(head).__name__}')


def check_suppression(settings: Any) -> None:
    """Raise `UserError` for a suppression other than `suppress` knows."""
    kind = settings.nms.get('type', 'nms')
    if kind != 'nms' or settings.nms.get('class_agnostic'):
        raise UserError("export knows test_cfg.nms.type='nms' within classes, got "
                        f'{dict(settings.nms)}')
