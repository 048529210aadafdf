"""The parts of mmdet (3.3 to 3.5) that must stay in float32 when the rest is in bfloat16.

bfloat16 rounds coordinates near 1000 to multiples of 4 or 8, and mmcv's operators (2.1 to 2.3) do
not know it. Arguments and state-dict keys are those of mmdet's classes.
"""
from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import ATSSHead, RetinaHead, RPNHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor

from vit_plugin.registry import MODELS


def in_float32(maps: Sequence[Tensor]) -> list[Tensor]:
    """The same maps in float32."""
    return [x.float() for x in maps]


@MODELS.register_module()
class Float32RPNHead(RPNHead):
    """Maps (B, C, h, w) -> scores and box deltas of each, in float32.

    mmdet's gives the anchors, and so the proposals, the type of its output; mmcv's NMS fails on
    them.
    """

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        with torch.autocast(x[0].device.type, enabled=False):
            scores, deltas = super().forward(in_float32(x))
        return scores, deltas


@MODELS.register_module()
class Float32RetinaHead(RetinaHead):
    """Maps (B, C, h, w) -> scores and box deltas of each; only these are in float32.

    mmdet's loss has the type of the convolutions; mmcv's focal loss fails on a GPU.
    """

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        return tuple(map(in_float32, super().forward(x)))


@MODELS.register_module()
class Float32ATSSHead(ATSSHead):
    """Maps (B, C, h, w) -> scores, box deltas and centernesses of each; only these are in float32.

    See `Float32RetinaHead`.
    """

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        return tuple(map(in_float32, super().forward(x)))


@MODELS.register_module()
class Float32RoIExtractor(SingleRoIExtractor):
    """Maps (B, C, h, w), boxes (K, 5) -> (K, C, size, size), in float32.

    mmdet's gives the boxes the type of the maps; mmcv's RoIAlign fails on both.
    """

    def forward(self, feats: Sequence[Tensor], rois: Tensor,
                roi_scale_factor: float | None = None) -> Tensor:
        out: Tensor = super().forward(in_float32(feats), rois.float(), roi_scale_factor)
        return out
