"""Downsampling between Swin's stages."""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_plugin.ops import pad_to_windows


class PatchMerging(nn.Module):
    """(B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2C): 2x2 neighbours side by side, then linear.

    The 4C channels are in mmcv's order (channel, row, column), which is that of
    ``torch.nn.Unfold``; the official code and timm use (column, row, channel). Odd maps are
    padded with zeros at the bottom and right. Swin, section 3.1.

    Args:
        channels: C.
        norm: Channels -> a norm of them; ``None`` for none.
        post_norm: True for the norm after the linear layer, as in Swin V2; False for before it.
    """

    def __init__(self, channels: int, norm: Callable[[int], nn.Module] | None = nn.LayerNorm,
                 post_norm: bool = False) -> None:
        super().__init__()
        self.post_norm = post_norm
        normed = (2 if post_norm else 4) * channels
        self.norm = nn.Identity() if norm is None else norm(normed)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_windows(x, (2, 2))
        top, bottom = x.unflatten(1, (-1, 2)).unbind(2)
        quarters = (*top.unflatten(2, (-1, 2)).unbind(3), *bottom.unflatten(2, (-1, 2)).unbind(3))
        # The fastest of several ways to bring the channels into this order, backward included.
        x = torch.stack(quarters, -1).flatten(-2)
        x = self.norm(self.reduction(x)) if self.post_norm else self.reduction(self.norm(x))
        return x
