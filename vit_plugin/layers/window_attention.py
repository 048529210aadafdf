"""Swin's attention in (shifted) windows with a relative position bias."""
from collections.abc import Callable, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from vit_plugin import ops
from vit_plugin.ops.backends import is_exporting

from .plain import is_idle, is_plain

INDEX = 'relative_position_index'


def relative_position_index(window: tuple[int, int]) -> Tensor:
    """(N, N) rows of the bias table, one for each pair of the window's N = h*w tokens.

    Entry (i, j) numbers the offset from token j to token i, row by row: Swin, equation 4.
    """
    height, width = window
    # On the CPU, whatever the default device is: on 'meta' it would have no values.
    y, x = torch.meshgrid(torch.arange(height, device='cpu'), torch.arange(width, device='cpu'),
                          indexing='ij')
    y, x = y.flatten(), x.flatten()
    dy = y[:, None] - y[None, :] + height - 1
    dx = x[:, None] - x[None, :] + width - 1
    return dy * (2 * width - 1) + dx


class WindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), the tokens of each window attending to each other.

    ``relative_position_index`` follows from the window. It is in the state dict, as in OpenMMLab's
    Swins, but no buffer: nothing that moves, averages or loads buffers can change it.
    """

    relative_position_index: Tensor

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int],
                 qkv_bias: bool = True, qk_scale: float | None = None,
                 attn_drop_rate: float = 0., drop_rate: float = 0.) -> None:
        super().__init__()
        self.window = window
        self.num_heads = num_heads
        self.scale = qk_scale
        num_offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_offsets, num_heads))
        self._set_index()
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor, shift: ops.Shift = (0, 0)) -> Tensor:
        """Attend in windows of the map rolled by ``-shift``."""
        bias, window, qkv, proj = self.bias(), self.window, self.qkv, self.proj
        if self.training and len(x) == 0:
            # Without a batch the attention gives the bias no gradient, which DDP would wait for.
            x = x + 0 * bias.sum()
        drop = None if is_idle(self.attn_drop) else self.attn_drop
        if drop is None and is_plain(qkv, nn.Linear) and is_plain(proj, nn.Linear):
            return self.proj_drop(ops.window_self_attention(
                x, (qkv.weight, qkv.bias), (proj.weight, proj.bias), bias, window, shift,
                self.scale))
        # Only its own call tells what an adapted projection makes of padding.
        qkv = self.qkv(ops.pad_to_windows(x, window))
        out = ops.window_attention(qkv, None, bias, window, shift, self.scale, drop)
        return self.proj_drop(self.proj(ops.crop(out, (x.shape[1], x.shape[2]))))

    def bias(self) -> Tensor:
        """The relative position bias (heads, N, N)."""
        table = self.relative_position_bias_table
        return table[self.relative_position_index.to(table.device)].permute(2, 0, 1)

    def _set_index(self) -> None:
        device = self.relative_position_bias_table.device
        index = relative_position_index(self.window)
        self.relative_position_index = index if device.type == 'meta' else index.to(device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'WindowAttention':
        super()._apply(fn, recurse)
        self._set_index()
        return self

    def _save_to_state_dict(self, destination: MutableMapping[str, Any], prefix: str,
                            keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + INDEX] = self.relative_position_index.clone()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict,
                              strict: bool, missing_keys: list, unexpected_keys: list,
                              error_msgs: list) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys,
                                      unexpected_keys, error_msgs)
        if prefix + INDEX in unexpected_keys:
            unexpected_keys.remove(prefix + INDEX)
        self._set_index()


class ShiftedWindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), attention in windows shifted by ``shift``.

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        window: (height, width).
        shift: (height, width).
        pad_small_map: Whether to shift also where the map is no larger than a window.
        kind: `WindowAttention`, or a subclass.
        attention: Further arguments of ``kind``.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int],
                 shift: tuple[int, int] = (0, 0), pad_small_map: bool = False,
                 kind: type[WindowAttention] = WindowAttention, **attention: Any) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.pad_small_map = pad_small_map
        self.w_msa = kind(embed_dims, num_heads, window, **attention)

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
