"""Image to patches."""
import torch.nn.functional as F
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """(B, in_channels, H, W) -> (B, ceil(H/p), ceil(W/p), embed_dims).

    An image that is no multiple of the patch size is padded with zeros at the bottom and right.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: tuple[int, int],
                 norm: bool = False) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = nn.Conv2d(in_channels, embed_dims, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(embed_dims) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        pad_h = -x.shape[2] % self.patch_size[0]
        pad_w = -x.shape[3] % self.patch_size[1]
        if pad_h or pad_w:
            x = F.pad(x, (0, pad_w, 0, pad_h))
        return self.norm(self.projection(x).permute(0, 2, 3, 1))
