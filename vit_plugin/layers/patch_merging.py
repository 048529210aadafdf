"""Downsampling between Swin's stages."""
from torch import Tensor, nn

from .windows import pad_to_windows


class PatchMerging(nn.Module):
    """(B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2C): 2x2 neighbours side by side, then linear.

    The 4C channels are in mmcv's order (channel, row, column), which is that of
    ``torch.nn.Unfold``; the official code and timm use (column, row, channel). Odd maps are
    padded with zeros at the bottom and right. Swin, section 3.1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_windows(x, (2, 2))
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 5, 2, 4)
        return self.reduction(self.norm(x.reshape(b, h // 2, w // 2, 4 * c)))
