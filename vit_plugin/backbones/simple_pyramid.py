"""ViTDet's pyramid: Li et al., "Exploring Plain Vision Transformer Backbones for Object
Detection", https://arxiv.org/abs/2203.16527."""
from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .arguments import InitCfg


@MODELS.register_module()
class LayerNorm2d(nn.LayerNorm):
    """(B, C, H, W) -> (B, C, H, W), each pixel normalised over its channels.

    ``norm_cfg=dict(type='vit_plugin.LayerNorm2d')`` puts it into the heads of mmdet and mmseg.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__(num_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class SimplePyramid(BaseModule):
    """(B, C, h, w) -> maps of 4, 2, 1 and 1/2 times the size: strides 4, 8, 16 and 32.

    ::

        map of stride 16 ─┬─ upsample twice ─ 1x1 ─ 3x3 ─ stride 4
                          ├─ upsample ─────── 1x1 ─ 3x3 ─ stride 8
                          ├──────────────────  1x1 ─ 3x3 ─ stride 16
                          └─ max pool ─────── 1x1 ─ 3x3 ─ stride 32 (─ max pool ─ stride 64)

    Upsampling is a transposed convolution, and every convolution on the right is followed by a
    `LayerNorm2d`. ViTDet, section 3, "Simple feature pyramid", and appendix A.2; detectron2's
    ``SimpleFeaturePyramid``, except that odd maps are pooled to the rounded-up half.

    Args:
        in_channels: C, the backbone's ``embed_dims``; a multiple of 4.
        out_channels: Channels of every output.
        num_outs: 4 for the strides above, 5 for another max pooling, as Mask R-CNN's RPN takes.
        init_cfg: mmengine's.

    Raises:
        UserError: an argument, or the input, is not as above.
    """

    def __init__(self, in_channels: int, out_channels: int = 256, num_outs: int = 4,
                 init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        if in_channels < 4 or in_channels % 4:
            raise UserError(f'in_channels={in_channels!r} must be a positive multiple of 4')
        if out_channels < 1:
            raise UserError(f'out_channels={out_channels!r} must be a positive integer')
        if num_outs not in (4, 5):
            raise UserError(f'num_outs={num_outs!r} must be 4 or 5')
        self.in_channels = in_channels
        self.num_outs = num_outs
        half, quarter = in_channels // 2, in_channels // 4
        self.levels = nn.ModuleList((
            nn.Sequential(upsample(in_channels, half), LayerNorm2d(half), nn.GELU(),
                          upsample(half, quarter), *project(quarter, out_channels)),
            nn.Sequential(upsample(in_channels, half), *project(half, out_channels)),
            nn.Sequential(*project(in_channels, out_channels)),
            nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), *project(in_channels, out_channels))))

    def forward(self, x: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(B, C, h, w), or a sequence of one such map, -> ``num_outs`` maps, largest first."""
        if not isinstance(x, Tensor):
            if len(x) != 1:
                raise UserError(f'SimplePyramid takes one map, got {len(x)}: give the backbone '
                                'one out_indices')
            x = x[0]
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != self.in_channels:
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise UserError(f'SimplePyramid takes a map of shape (B, {self.in_channels}, h, w), '
                            f"got {got}; DeiT gives one with out_type='featmap'")
        outs = [level(x) for level in self.levels]
        if self.num_outs == 5:
            outs.append(F.max_pool2d(outs[-1], 1, stride=2))
        return tuple(outs)


def upsample(in_channels: int, out_channels: int) -> nn.Module:
    """(B, C, h, w) -> (B, C', 2h, 2w)."""
    return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)


def project(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    """(B, C, h, w) -> (B, C', h, w): 1x1, norm, 3x3, norm."""
    return (nn.Conv2d(in_channels, out_channels, 1, bias=False), LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            LayerNorm2d(out_channels))
