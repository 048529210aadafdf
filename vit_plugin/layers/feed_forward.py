"""The block's multi-layer perceptron."""
from torch import Tensor, nn

from .groups import map_tokens
from .residual import layer_scale


class FeedForward(nn.Module):
    """(..., C) -> (..., hidden) -> (..., C); its nesting gives the keys of mmcv's FFN."""

    def __init__(self, embed_dims: int, hidden: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0.) -> None:
        super().__init__()
        expand = nn.Sequential(nn.Linear(embed_dims, hidden), nn.GELU(), nn.Dropout(drop_rate))
        self.layers = nn.Sequential(expand, nn.Linear(hidden, embed_dims), nn.Dropout(drop_rate))
        self.gamma2 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma2(map_tokens(self.layers, x))
