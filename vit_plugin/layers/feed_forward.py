"""The block's multi-layer perceptron, and its gated relative."""
from collections.abc import Callable

import torch.nn.functional as F
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


class SwiGLU(nn.Module):
    """(..., C) -> (..., hidden) -> (..., C), ``w3(silu(a) * b)`` with ``(a, b) = w12(x)``.

    Shazeer, "GLU Variants Improve Transformer", https://arxiv.org/abs/2002.05202, equation 6, with
    biases and both first products in one, as in facebookresearch/dinov2 (layers/swiglu_ffn.py).
    State-dict keys are those of mmpretrain's ``SwiGLUFFN``.
    """

    def __init__(self, embed_dims: int, hidden: int, drop_rate: float = 0.,
                 layer_scale_init_value: float = 0.) -> None:
        super().__init__()
        self.w12 = nn.Linear(embed_dims, 2 * hidden)
        self.w3 = nn.Linear(hidden, embed_dims)
        self.drop = nn.Dropout(drop_rate)
        self.gamma2 = layer_scale(embed_dims, layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        gate, x = self.w12(x).chunk(2, dim=-1)
        x = self.w3(self.drop(F.silu(gate) * x))
        x = self.gamma2(self.drop(x))
        return x
