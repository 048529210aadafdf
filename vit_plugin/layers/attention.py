"""Global self-attention."""
from typing import Any

from torch import Tensor, nn

from vit_plugin import ops

from .plain import is_idle, linear
from .residual import layer_scale


class Attention(nn.Module):
    """(B, N, C) -> (B, N, C), every token attending to every token."""

    def __init__(self, embed_dims: int, num_heads: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0., qkv_bias: bool = True,
                 proj_bias: bool = True, attn_drop_rate: float = 0.) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims, bias=proj_bias)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj_drop = nn.Dropout(drop_rate)
        self.gamma1 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = linear(self.qkv, x).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = ops.attention(q, k, v, drop=None if is_idle(self.attn_drop) else self.attn_drop)
        x = x.transpose(1, 2).reshape(b, n, c)
        return self.gamma1(self.proj_drop(linear(self.proj, x)))


class MapAttention(Attention):
    """(B, H, W, C) -> (B, H, W, C), every place attending to the map or to its own window.

    Maps are padded with zeros to whole windows, and the padding takes part, as in detectron2's
    and mmdet's ViTDet. Source: Li et al., "Exploring Plain Vision Transformer Backbones for Object
    Detection" (https://arxiv.org/abs/2203.16527), section 3, "Backbone adaptation".

    Args:
        window: (height, width), ``None`` for the whole map.
    """

    def __init__(self, *args: Any, window: tuple[int, int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[1], x.shape[2])
        window = self.window or size
        x = ops.pad_to_windows(x, window)
        padded = (x.shape[1], x.shape[2])
        windows = ops.window_partition(x, window)
        x = super().forward(windows.flatten(0, 1)).reshape(windows.shape)
        return ops.crop(ops.window_reverse(x, window, padded), size)
