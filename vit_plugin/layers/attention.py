"""Global self-attention."""
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import layer_scale


class Attention(nn.Module):
    """(B, N, C) -> (B, N, C), every token attending to every token."""

    def __init__(self, embed_dims: int, num_heads: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0.) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)
        self.gamma1 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
        return self.gamma1(self.proj_drop(self.proj(x)))
