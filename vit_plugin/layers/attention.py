"""A ViT's self-attention."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin import ops

from .residual import layer_scale
from .rotary import rotate


class MaskedKeyBias(nn.Linear):
    """(..., C) -> queries, keys and values (..., 3C), whose keys get no bias.

    facebookresearch/dinov3's ``LinearKMaskedBias`` (layers/attention.py). Under rotary positions a
    bias of the keys would change the attention; otherwise it is the same for all keys of a query.
    """

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.bias.chunk(3)
        return F.linear(x, self.weight, torch.cat((q, torch.zeros_like(k), v)))


class Attention(nn.Module):
    """(B, ..., C) -> (B, ..., C), every token attending to every token, or to its own window.

    Maps (B, H, W, C) are padded with zeros to whole windows, and the padding takes part, as in
    detectron2's and mmdet's ViTDet. Source: Li et al., "Exploring Plain Vision Transformer
    Backbones for Object Detection" (https://arxiv.org/abs/2203.16527), section 3, "Backbone
    adaptation".

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        drop_rate: Dropout of the result.
        layer_scale_init_value: Initial factor of LayerScale; 0 for none.
        qkv_bias: True for a bias of queries, keys and values.
        proj_bias: True for a bias of the projection after the attention.
        attn_drop_rate: Dropout of the attention weights.
        window: (height, width) of a map's windows; ``None`` for global attention.
        key_bias: False to mask the keys' part of the ``qkv_bias``.
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0., qkv_bias: bool = True,
                 proj_bias: bool = True, attn_drop_rate: float = 0.,
                 window: tuple[int, int] | None = None, key_bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        linear = MaskedKeyBias if qkv_bias and not key_bias else nn.Linear
        self.qkv = linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims, bias=proj_bias)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj_drop = nn.Dropout(drop_rate)
        self.gamma1 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor, *rotation: Tensor) -> Tensor:
        """Attend; ``rotation`` is that of `rotary_position` for the tokens of ``x``, or nothing."""
        if self.window is None:
            return self.attend(x.flatten(1, -2), *rotation).reshape(x.shape)
        size = (x.shape[1], x.shape[2])
        x = ops.pad_to_windows(x, self.window)
        padded = (x.shape[1], x.shape[2])
        windows = ops.window_partition(x, self.window)
        rotation = tuple(in_windows(angles, size, self.window) for angles in rotation)
        x = self.attend(windows.flatten(0, 1), *rotation).reshape(windows.shape)
        return ops.crop(ops.window_reverse(x, self.window, padded), size)

    def attend(self, x: Tensor, *rotation: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C), every token attending to every token."""
        b, n, c = x.shape
        linear = ops.choose(ops.linear, x, self.qkv, self.proj)
        qkv = linear(self.qkv)(x).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        for angles in rotation:
            q, k = rotate(q, angles), rotate(k, angles)
        attention = ops.choose(ops.attention, q, drop=self.attn_drop)
        x = attention(q, k, v, drop=self.attn_drop).transpose(1, 2).reshape(b, n, c)
        x = self.gamma1(self.proj_drop(linear(self.proj)(x)))
        return x


def in_windows(rotation: Tensor, size: tuple[int, int], window: tuple[int, int]) -> Tensor:
    """A map's (1, H*W, 2D) of `rotary_position` -> (windows, N, 2D)."""
    padded = ops.pad_to_windows(rotation.unflatten(1, size), window)
    return ops.window_partition(padded, window)[0]
