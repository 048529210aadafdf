"""The block's multi-layer perceptron."""
from collections.abc import Callable

from torch import Tensor, nn

from vit_plugin import ops

from .residual import layer_scale


class FeedForward(nn.Module):
    """(..., C) -> (..., hidden) -> (..., C); its nesting gives the keys of mmcv's FFN."""

    def __init__(self, embed_dims: int, hidden: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0.,
                 activation: Callable[[], nn.Module] = nn.GELU) -> None:
        super().__init__()
        expand = nn.Sequential(nn.Linear(embed_dims, hidden), activation(), nn.Dropout(drop_rate))
        self.layers = nn.Sequential(expand, nn.Linear(hidden, embed_dims), nn.Dropout(drop_rate))
        self.gamma2 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        mlp = ops.choose(ops.mlp, x, *self.layers.modules())
        out: Tensor = self.gamma2(mlp(x, self.layers))
        return out
