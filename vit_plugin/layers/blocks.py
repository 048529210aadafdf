"""Transformer blocks: two residual lines each."""
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from .attention import Attention
from .feed_forward import FeedForward
from .plain import after_norm
from .residual import DropPath
from .window_attention import ShiftedWindowAttention

# DeiT's epsilon.
LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)


class TransformerBlock(nn.Module):
    """(B, N, C) -> (B, N, C), a pre-norm ViT block; of maps with an ``attention`` for maps."""

    def __init__(self, embed_dims: int, num_heads: int, hidden: int, drop_rate: float = 0.,
                 drop_path: float = 0., layer_scale_init_value: float = 0.,
                 attention: Callable[..., nn.Module] = Attention,
                 norm: Callable[[int], nn.Module] = LAYER_NORM,
                 activation: Callable[[], nn.Module] = nn.GELU,
                 attn_drop_path: bool = True) -> None:
        super().__init__()
        self.ln1 = norm(embed_dims)
        self.attn = attention(embed_dims, num_heads, drop_rate, layer_scale_init_value)
        self.ln2 = norm(embed_dims)
        self.ffn = FeedForward(embed_dims, hidden, drop_rate, layer_scale_init_value, activation)
        self.attn_drop_path = DropPath(drop_path if attn_drop_path else 0.)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn_drop_path(after_norm(self.ln1, x, self.attn))
        return x + self.drop_path(after_norm(self.ln2, x, self.ffn))


class SwinBlock(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), a pre-norm block with attention in (shifted) windows."""

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int],
                 shift: tuple[int, int] = (0, 0), pad_small_map: bool = False,
                 drop_path: float = 0., hidden: int | None = None, drop_rate: float = 0.,
                 attention: Callable[..., nn.Module] = ShiftedWindowAttention,
                 norm: Callable[[int], nn.Module] = nn.LayerNorm,
                 activation: Callable[[], nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.norm1 = norm(embed_dims)
        self.attn = attention(embed_dims, num_heads, window, shift, pad_small_map)
        self.norm2 = norm(embed_dims)
        self.ffn = FeedForward(embed_dims, hidden or 4 * embed_dims, drop_rate,
                               activation=activation)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(after_norm(self.norm1, x, self.attn))
        return x + self.drop_path(after_norm(self.norm2, x, self.ffn))
