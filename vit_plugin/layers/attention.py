"""A ViT's self-attention."""
from torch import Tensor, nn

from vit_plugin import ops

from .residual import layer_scale


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
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0., qkv_bias: bool = True,
                 proj_bias: bool = True, attn_drop_rate: float = 0.,
                 window: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims, bias=proj_bias)
        self.attn_drop = nn.Dropout(attn_drop_rate)
        self.proj_drop = nn.Dropout(drop_rate)
        self.gamma1 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        if self.window is None:
            return self.attend(x.flatten(1, -2)).reshape(x.shape)
        size = (x.shape[1], x.shape[2])
        x = ops.pad_to_windows(x, self.window)
        padded = (x.shape[1], x.shape[2])
        windows = ops.window_partition(x, self.window)
        x = self.attend(windows.flatten(0, 1)).reshape(windows.shape)
        return ops.crop(ops.window_reverse(x, self.window, padded), size)

    def attend(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C), every token attending to every token."""
        b, n, c = x.shape
        linear = ops.choose(ops.linear, x, self.qkv, self.proj)
        qkv = linear(self.qkv)(x).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attention = ops.choose(ops.attention, x, drop=self.attn_drop)
        x = attention(q, k, v, drop=self.attn_drop).transpose(1, 2).reshape(b, n, c)
        x = self.gamma1(self.proj_drop(linear(self.proj)(x)))
        return x
