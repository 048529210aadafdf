"""The block's multi-layer perceptron."""
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from vit_plugin import ops

from .plain import is_idle, is_plain
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
        layers: Any = self.layers
        if is_plain_mlp(layers):
            first, second = layers[0][0], layers[1]
            x = ops.mlp(x, first.weight, first.bias, second.weight, second.bias)
        else:
            x = layers(x)
        return self.gamma2(x)


def is_plain_mlp(layers: Any) -> bool:
    """Whether the layers of a `FeedForward` are as it built them, and drop nothing now."""
    if not (is_plain(layers, nn.Sequential) and is_plain(layers[0], nn.Sequential)):
        return False
    parts = [*layers[0], *layers[1:]]
    kinds = (nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.Dropout)
    return (len(parts) == len(kinds)
            and all(is_plain(part, kind) for part, kind in zip(parts, kinds))
            and parts[1].approximate == 'none' and is_idle(parts[2]) and is_idle(parts[4]))
