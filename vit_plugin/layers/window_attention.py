"""Swin's attention in (shifted) windows with a relative position bias."""
import torch
from torch import Tensor, nn

from vit_plugin import ops
from vit_plugin.ops.attention.reference import is_exporting

from .plain import is_plain


def relative_position_index(window: tuple[int, int]) -> Tensor:
    """(N, N) rows of the bias table, one for each pair of the window's N = h*w tokens.

    Entry (i, j) numbers the offset from token j to token i, row by row: Swin, equation 4.
    """
    height, width = window
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    y, x = y.flatten(), x.flatten()
    dy = y[:, None] - y[None, :] + height - 1
    dx = x[:, None] - x[None, :] + width - 1
    return dy * (2 * width - 1) + dx


class WindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), the tokens of each window attending to each other."""

    relative_position_index: Tensor

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int]) -> None:
        super().__init__()
        self.window = window
        self.num_heads = num_heads
        num_offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_offsets, num_heads))
        # In the state dict for OpenMMLab's sake, whose Swins have it there.
        self.register_buffer('relative_position_index', relative_position_index(window))
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, shift: ops.Shift = (0, 0)) -> Tensor:
        """Attend in windows of the map rolled by ``-shift``."""
        bias, window, qkv, proj = self.bias(), self.window, self.qkv, self.proj
        if self.training and len(x) == 0:
            # Without a batch the attention gives the bias no gradient, which DDP would wait for.
            x = x + 0 * bias.sum()
        if is_plain(qkv, nn.Linear) and is_plain(proj, nn.Linear):
            return ops.window_self_attention(x, (qkv.weight, qkv.bias), (proj.weight, proj.bias),
                                             bias, window, shift)
        # Only its own call tells what an adapted projection makes of padding.
        qkv = self.qkv(ops.pad_to_windows(x, window))
        out = ops.window_attention(qkv, None, bias, window, shift)
        return self.proj(ops.crop(out, (x.shape[1], x.shape[2])))

    def bias(self) -> Tensor:
        """The relative position bias (heads, N, N)."""
        return self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)


class ShiftedWindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), attention in windows shifted by ``shift``.

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        window: (height, width).
        shift: (height, width).
        pad_small_map: Whether to shift also where the map is no larger than a window.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int],
                 shift: tuple[int, int] = (0, 0), pad_small_map: bool = False) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.pad_small_map = pad_small_map
        self.w_msa = WindowAttention(embed_dims, num_heads, window)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_msa(x, self.shift_of(x))

    def shift_of(self, x: Tensor) -> ops.Shift:
        """The shift for a map (B, H, W, C)."""
        height, width = x.shape[1:3]
        if self.pad_small_map or self.shift == (0, 0):
            return self.shift
        if is_exporting() and not (isinstance(height, int) and isinstance(width, int)):
            # The exported model decides for each size; a comparison would keep this size's answer.
            larger = [torch.full((), side) > length
                      for side, length in zip((height, width), self.window)]
            return tuple(places * (larger[0] & larger[1]) for places in self.shift)
        return self.shift if height > self.window[0] and width > self.window[1] else (0, 0)

    def extra_repr(self) -> str:
        return f'window={self.window}, shift={self.shift}'
