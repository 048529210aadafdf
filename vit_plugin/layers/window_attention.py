"""Swin's attention in (shifted) windows with a relative position bias."""
from collections.abc import Callable, MutableMapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from vit_plugin import ops


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

    derived: ClassVar[tuple[str, ...]] = ('relative_position_index',)  # what is stored likewise
    relative_position_index: Tensor

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int],
                 qkv_bias: bool = True, qk_scale: float | None = None,
                 attn_drop_rate: float = 0., drop_rate: float = 0.) -> None:
        super().__init__()
        self.window = window
        self.num_heads = num_heads
        self.scale = qk_scale
        self.build_bias()
        self.set_derived()
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor, shift: ops.Shift = (0, 0)) -> Tensor:
        """Attend in windows of the map rolled by ``-shift``."""
        bias = self.bias()
        if self.training and len(x) == 0:
            # Without a batch the attention gives the bias no gradient, which DDP would wait for.
            x = x + 0 * bias.sum()
        # A layer of torch's may be computed without a call, a method of a subclass is called.
        overridden = type(self).project is not WindowAttention.project
        project = self.project if overridden else self.qkv
        linear = ops.choose(ops.linear, x, project, self.proj)
        attend = ops.choose(ops.window_attention, x, project, self.proj, drop=self.attn_drop)
        x = attend(x, linear(project), linear(self.proj), bias, self.window, shift, self.scale,
                   self.attn_drop)
        x = self.proj_drop(x)
        return x

    def project(self, x: Tensor) -> Tensor:
        """Tokens (..., C) -> their queries, keys and values (..., 3C), side by side."""
        x = self.qkv(x)
        return x

    def build_bias(self) -> None:
        """Make the parameters of the relative position bias."""
        num_offsets = (2 * self.window[0] - 1) * (2 * self.window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_offsets, self.num_heads))

    def bias(self) -> Tensor:
        """The relative position bias (heads, N, N)."""
        table = self.relative_position_bias_table
        return table[self.relative_position_index.to(table.device)].permute(2, 0, 1)

    def derive(self) -> dict[str, Tensor]:
        """What follows from the window, on the CPU, by its names in the state dict."""
        return {'relative_position_index': relative_position_index(self.window)}

    def set_derived(self) -> None:
        """Have what follows from the window on the parameters' device; on the CPU for 'meta'."""
        device = next(self.parameters()).device
        for name, value in self.derive().items():
            setattr(self, name, value if device.type == 'meta' else value.to(device))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'WindowAttention':
        super()._apply(fn, recurse)
        self.set_derived()
        return self

    def _save_to_state_dict(self, destination: MutableMapping[str, Tensor], prefix: str,
                            keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self.derived:
            destination[prefix + name] = getattr(self, name).clone()

    def _load_from_state_dict(self, state_dict: dict[str, object], prefix: str,
                              local_metadata: dict[str, object],
                              strict: bool, missing_keys: list[str], unexpected_keys: list[str],
                              error_msgs: list[str]) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys,
                                      unexpected_keys, error_msgs)
        derived = [prefix + name for name in self.derived]
        unexpected_keys[:] = [key for key in unexpected_keys if key not in derived]
        self.set_derived()


class ShiftedWindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), attention in windows shifted by ``shift``.

    Args:
        w_msa: The attention in windows.
        shift: (height, width).
        pad_small_map: True to shift also where the map is no larger than a window.
    """

    def __init__(self, w_msa: WindowAttention, shift: tuple[int, int] = (0, 0),
                 pad_small_map: bool = False) -> None:
        super().__init__()
        self.window = w_msa.window
        self.shift = shift
        self.pad_small_map = pad_small_map
        self.w_msa = w_msa

    def forward(self, x: Tensor) -> Tensor:
        x = self.w_msa(x, self.shift_of(x))
        return x

    def shift_of(self, x: Tensor) -> ops.Shift:
        """The shift for a map (B, H, W, C)."""
        height, width = x.shape[1:3]
        if self.pad_small_map or self.shift == (0, 0):
            return self.shift
        if ops.is_exporting() and not (isinstance(height, int) and isinstance(width, int)):
            # The exported model decides for each size; a comparison would keep this size's answer.
            taller = torch.full((), height) > self.window[0]
            wider = torch.full((), width) > self.window[1]
            return self.shift[0] * (taller & wider), self.shift[1] * (taller & wider)
        if height > self.window[0] and width > self.window[1]:
            return self.shift
        return (0, 0)

    def extra_repr(self) -> str:
        return f'window={self.window}, shift={self.shift}'
