"""Image to patches."""
from collections.abc import Callable

from torch import Tensor, nn

from vit_plugin.ops import pad_to_windows


class PatchEmbed(nn.Module):
    """(B, in_channels, H, W) -> (B, ceil(H/p), ceil(W/p), embed_dims).

    An image that is no multiple of the patch size is padded with zeros at the bottom and right.
    """

    def __init__(self, in_channels: int, embed_dims: int, patch_size: tuple[int, int],
                 norm: Callable[[int], nn.Module] | None = None, bias: bool = True) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = nn.Conv2d(in_channels, embed_dims, patch_size, stride=patch_size,
                                    bias=bias)
        self.norm = nn.Identity() if norm is None else norm(embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_windows(x, self.patch_size, dims=(2, 3))
        x = self.norm(self.projection(x).permute(0, 2, 3, 1))
        return x
