"""The block's multi-layer perceptron."""
from typing import Any

import torch
from torch import Tensor, nn

from .groups import map_tokens
from .linear import is_plain, linear
from .paths import Path, choose_path
from .recompute import GELULinear
from .residual import layer_scale


class FeedForward(nn.Module):
    """(..., C) -> (..., hidden) -> (..., C); its nesting gives the keys of mmcv's FFN."""

    def __init__(self, embed_dims: int, hidden: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0.) -> None:
        super().__init__()
        expand = nn.Sequential(nn.Linear(embed_dims, hidden), nn.GELU(), nn.Dropout(drop_rate))
        self.layers = nn.Sequential(expand, nn.Linear(hidden, embed_dims), nn.Dropout(drop_rate))
        self.gamma2 = layer_scale(embed_dims, layer_scale_init_value)
        self.drop_rate = drop_rate

    def forward(self, x: Tensor) -> Tensor:
        layers: Any = self.layers
        first, gelu, second = layers[0][0], layers[0][1], layers[1]
        plain = (is_plain(first, nn.Linear) and is_plain(gelu, nn.GELU)
                 and is_plain(second, nn.Linear))
        drops = self.training and self.drop_rate > 0.
        path = choose_path(x) if plain and not drops else Path.PLAIN
        if path is Path.TRAINING:
            x = GELULinear.apply(linear(first, x), second.weight, second.bias)
        elif path is Path.CPU:
            x = map_tokens(lambda x: linear(second, torch.ops.aten.gelu_(linear(first, x))), x)
        else:
            x = layers(x)
        return self.gamma2(x)
