"""Layers of a residual branch: DropPath, LayerScale."""
import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth: in training, drop a sample's residual with probability ``drop_prob``.

    Those kept are divided by ``1 - drop_prob``, as in timm and mmcv.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0. or not self.training:
            return x
        keep = 1. - self.drop_prob
        kept = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * kept.div_(keep)

    def extra_repr(self) -> str:
        return f'drop_prob={self.drop_prob:.3f}'


class LayerScale(nn.Module):
    """One learnt factor per channel (CaiT, section 2.1)."""

    def __init__(self, channels: int, init_value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def layer_scale(channels: int, init_value: float) -> nn.Module:
    """A `LayerScale`, or nothing where ``init_value`` is 0."""
    return LayerScale(channels, init_value) if init_value else nn.Identity()
