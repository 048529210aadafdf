"""Anchors, boxes and their suppression, in operators that export with dynamic sizes."""
import math
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms


def grid_anchors(generator: Any, level: int, height: int, width: int) -> Tensor:
    """(height * width * A, 4): mmdet's anchors of one level, in its order."""
    base = generator.base_anchors[level]
    step_x, step_y = generator.strides[level]
    x = torch.arange(width, device=base.device).to(base.dtype) * step_x
    y = torch.arange(height, device=base.device).to(base.dtype) * step_y
    x, y = x[None, :].expand(height, width), y[:, None].expand(height, width)
    shifts = torch.stack((x, y, x, y), dim=-1)
    return (shifts[:, :, None] + base).flatten(0, 2)


def decode(coder: Any, anchors: Tensor, deltas: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (N, 4) that mmdet's ``DeltaXYWHBBoxCoder`` makes of deltas (N, 4), inside ``size``."""
    deltas = deltas * deltas.new_tensor(coder.stds) + deltas.new_tensor(coder.means)
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2
    extent = anchors[:, 2:] - anchors[:, :2]
    largest = abs(math.log(16 / 1000))
    centre = centre + extent * deltas[:, :2]
    extent = extent * deltas[:, 2:].clamp(-largest, largest).exp()
    boxes = torch.cat((centre - extent / 2, centre + extent / 2), dim=1)
    if not coder.clip_border:
        return boxes
    height, width = (torch.full((), side, dtype=boxes.dtype) for side in size)
    return boxes.clamp(min=0).minimum(torch.stack((width, height, width, height)))


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float,
             side: int | torch.SymInt) -> Tensor:
    """Indices of boxes (N, 4) that overlap no better one of their group, by falling scores.

    Args:
        boxes: Inside an image.
        scores: (N,).
        groups: (N,), classes or levels.
        threshold: Intersection over union up to which boxes may overlap.
        side: Of the image, the longest, by which groups are moved apart.
    """
    apart = groups.to(boxes.dtype) * torch.full((), side + 1, dtype=boxes.dtype)
    return nms(boxes + apart[:, None], scores, threshold)
