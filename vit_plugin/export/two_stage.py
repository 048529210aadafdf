"""mmdet's Faster, Mask and Cascade R-CNN as they are exported, for one image."""
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from vit_plugin.errors import UserError

from .boxes import decode, grid_anchors, suppress
from .deployed import Deployed
from .detectors import BOXES, check_coder, check_head, check_suppression
from .kinds import names_of

Size = tuple[int, int]


class DeployedTwoStage(Deployed):
    """(1, 3, H, W) -> boxes (N, 4), scores (N,), labels (N,) and with a mask head masks (N, h, w).

    ::

        maps ── RPN ─ proposals ─► RoIAlign ─ box head ─► boxes ─► NMS ─► RoIAlign ─ mask head
                                      ▲           │ Cascade R-CNN: again on the refined boxes
                                      └───────────┘

    Args:
        model: An mmdet ``TwoStageDetector`` with a ``StandardRoIHead`` or a ``CascadeRoIHead``.

    Raises:
        UserError: it has other heads, or pools regions or suppresses boxes in another way.
    """

    task = 'detection'
    any_batch = False

    def __init__(self, model: Any) -> None:
        check_two_stage(model)
        super().__init__(model)
        self.outputs = dict(BOXES)
        if model.roi_head.with_mask:
            self.outputs['masks'] = ('probability of the object in the places of its box, from '
                                     '0.5 on it is there, (boxes, height, width)')

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        size = (image.shape[2], image.shape[3])
        maps = self.model.extract_feat(self.pixels(image))
        logits, deltas, rois = self.refined(maps, self.proposals(maps, size), size)
        settings, head = self.model.roi_head.test_cfg, in_order(self.model.roi_head.bbox_head)[-1]
        scores = logits.softmax(1)[:, :-1]
        row, labels = (scores > settings.score_thr).nonzero().unbind(1)
        boxes = decode(head.bbox_coder, rois[row], of_class(head, deltas, row, labels), size)
        scores = scores[row, labels]
        kept = suppress(boxes, scores, labels, settings.nms.iou_threshold,
                        torch.sym_max(*size))[:settings.max_per_img]
        boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        if 'masks' not in self.outputs:
            return boxes, scores, labels
        return boxes, scores, labels, self.masks(maps, boxes, labels)

    def proposals(self, maps: Sequence[Tensor], size: Size) -> Tensor:
        """Boxes (N, 4) of mmdet's `RPNHead`: the best of each level, after NMS within levels."""
        head, settings = self.model.rpn_head, self.model.rpn_head.test_cfg
        parts = []
        for level, (logits, deltas) in enumerate(zip(*head(maps))):
            anchors = grid_anchors(head.prior_generator, level, logits.shape[2], logits.shape[3])
            scores = logits[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
            scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[:, :-1]
            scores, place = scores[:, 0].sort(descending=True)
            place, scores = place[:settings.nms_pre], scores[:settings.nms_pre]
            deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)[place]
            boxes = decode(head.bbox_coder, anchors[place], deltas, size)
            parts.append((boxes, scores, torch.full_like(place, level)))
        boxes, scores, levels = (torch.cat(part) for part in zip(*parts))
        extent = boxes[:, 2:] - boxes[:, :2]
        large = (extent > settings.get('min_bbox_size', -1)).all(1).nonzero().squeeze(1)
        boxes, scores, levels = boxes[large], scores[large], levels[large]
        kept = suppress(boxes, scores, levels, settings.nms.iou_threshold, torch.sym_max(*size))
        return boxes[kept[:settings.max_per_img]]

    def refined(self, maps: Sequence[Tensor], rois: Tensor, size: Size
                ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean logits (N, classes + 1) of the box heads, and the last one's deltas and RoIs."""
        roi_head = self.model.roi_head
        heads = in_order(roi_head.bbox_head)
        extractors = in_order(roi_head.bbox_roi_extractor)
        logits = []
        for extractor, head in zip(extractors, heads):
            scores, deltas = head(pooled(extractor, maps, rois))
            logits.append(scores)
            if head is not heads[-1]:
                labels = scores[:, :-1].argmax(1)
                row = torch.arange(labels.shape[0], device=labels.device)
                rois = decode(head.bbox_coder, rois, of_class(head, deltas, row, labels), size)
        return torch.stack(logits).mean(0), deltas, rois

    def masks(self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Mean probabilities (N, h, w) of the mask heads."""
        roi_head = self.model.roi_head
        found = []
        for extractor, head in zip(in_order(roi_head.mask_roi_extractor),
                                   in_order(roi_head.mask_head)):
            logits = head(pooled(extractor, maps, boxes))
            channel = torch.zeros_like(labels) if head.class_agnostic else labels
            row = torch.arange(labels.shape[0], device=labels.device)
            found.append(logits[row, channel].sigmoid())
        return torch.stack(found).mean(0)


def in_order(part: nn.Module) -> list[Any]:
    """The parts of Cascade R-CNN's stages, or the only one."""
    return list(part) if isinstance(part, nn.ModuleList) else [part]


def of_class(head: Any, deltas: Tensor, row: Tensor, labels: Tensor) -> Tensor:
    """(M, 4): of the deltas (N, 4) or (N, classes * 4), those of pairs of row and label."""
    if head.reg_class_agnostic:
        return deltas[row]
    return deltas.reshape(-1, head.num_classes, 4)[row, labels]


def pooled(extractor: Any, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """(N, C, h, w): what mmdet's `SingleRoIExtractor` pools for boxes (N, 4)."""
    rois = F.pad(boxes, (1, 0))  # number of the image
    scale = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    level = (scale / extractor.finest_scale + 1e-6).log2().floor()
    level = level.clamp(0, extractor.num_inputs - 1).long()
    parts, rows = [], []
    for i, layer in enumerate(extractor.roi_layers):
        row = (level == i).nonzero().squeeze(1)
        parts.append(roi_align(maps[i], rois[row], layer.output_size, layer.spatial_scale,
                               layer.sampling_ratio, layer.aligned))
        rows.append(row)
    place = torch.cat(rows)
    order = torch.zeros_like(level).index_put((place,), torch.arange(place.shape[0]))
    return torch.cat(parts)[order]


def check_two_stage(model: Any) -> None:
    """Raise `UserError` unless the model's heads compute what this module does."""
    check_head(model.rpn_head)
    check_suppression(model.roi_head.test_cfg)
    head = model.roi_head
    if type(head).__name__ not in ('StandardRoIHead', 'CascadeRoIHead') or head.with_shared_head:
        raise UserError('export knows two-stage detectors with a StandardRoIHead or a '
                        f'CascadeRoIHead without shared_head, got a {type(head).__name__}')
    extractors = in_order(head.bbox_roi_extractor)
    if head.with_mask:
        extractors += in_order(head.mask_roi_extractor)
        if head.test_cfg.mask_thr_binary != 0.5:
            raise UserError('export knows test_cfg.rcnn.mask_thr_binary=0.5, got '
                            f'{head.test_cfg.mask_thr_binary}')
        for part in in_order(head.mask_head):
            if type(part).__name__ != 'FCNMaskHead':
                raise UserError(f'export knows the FCNMaskHead, got a {type(part).__name__}')
    for extractor in extractors:
        layer = extractor.roi_layers[0]
        if (type(extractor).__name__ not in ('SingleRoIExtractor', 'Float32RoIExtractor')
                or type(layer).__name__ != 'RoIAlign' or layer.pool_mode != 'avg'):
            raise UserError('export knows the SingleRoIExtractor with a RoIAlign that averages, '
                            f'got a {type(extractor).__name__} with {layer}')
    for part in in_order(head.bbox_head):
        if ('mmdet.BBoxHead' not in names_of(part) or not part.with_reg
                or part.custom_cls_channels):
            raise UserError('export knows box heads that classify by softmax and move boxes, got '
                            f'a {type(part).__name__}')
        check_coder(part)
