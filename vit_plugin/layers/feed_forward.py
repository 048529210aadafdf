"""The block's multi-layer perceptron."""
from torch import Tensor, nn

from .groups import map_tokens
from .recompute import GELULinear, can_recompute
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
        expand, project = (self.layers.get_submodule(name) for name in ('0.0', '1'))
        if can_recompute(x) and self.drop_rate == 0. and is_plain_linear(project):
            x = GELULinear.apply(expand(x), project.weight, project.bias)
        else:
            x = map_tokens(self.layers, x)
        return self.gamma2(x)


def is_plain_linear(module: nn.Module) -> bool:
    """Whether a layer does no more than its weights say: no adapter, no hook."""
    return type(module) is nn.Linear and not (module._forward_hooks or module._forward_pre_hooks)
