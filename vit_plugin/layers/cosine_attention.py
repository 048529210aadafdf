"""Swin V2's attention: cosines of queries and keys, and a bias that follows from the offset."""
import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from vit_plugin import ops

from .window_attention import WindowAttention

HIDDEN = 512  # of the bias's MLP, in the official code
HIGHEST_SCALE = 100.
# Shorter queries and keys count as 0, and have no gradient. Those of padding are 0: divided by the
# usual 1e-12, which is 0 in float16, they are nan, and their gradient leaves float16's range.
SHORTEST = 1e-6


def relative_offsets(window: tuple[int, int], pretrained: tuple[int, int]) -> Tensor:
    """(1, 2h-1, 2w-1, 2) offsets between two tokens of a window, (height, width), on a log scale.

    ``sign(x) log2(1 + |x|) / log2(8)`` of ``x = 8 offset / (longest offset)``, where the longest
    is that of the window in pre-training if that is not 0. Swin V2, equation 4, and the official
    code; without the division by 0 there, for windows of 1.
    """
    axes = []
    for side, before in zip(window, pretrained):
        offset = torch.arange(1 - side, side, dtype=torch.float32, device='cpu')
        offset = 8 * offset / max((before or side) - 1, 1)
        axes.append(offset.sign() * torch.log2(1 + offset.abs()) / math.log2(8))
    return torch.stack(torch.meshgrid(*axes, indexing='ij'), -1)[None]


class CosineWindowAttention(WindowAttention):
    """(B, H, W, C) -> (B, H, W, C), the tokens of each window attending to each other.

    Scores are cosines of query and key times a learnt factor for each head, at most 100, plus a
    bias that an MLP computes from the offset. Swin V2, section 3.3.

    Args:
        embed_dims: C.
        num_heads: Number of heads.
        window: (height, width).
        pretrained_window: That in pre-training, whose offsets the MLP knows; 0 for the same.
        qkv_bias: True for a bias of queries and values; keys have none.
        attn_drop_rate: Dropout of the attention weights.
        drop_rate: Dropout of the result.
    """

    derived: ClassVar[tuple[str, ...]] = ('relative_coords_table', 'relative_position_index')
    relative_coords_table: Tensor

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int],
                 pretrained_window: tuple[int, int] = (0, 0), qkv_bias: bool = True,
                 attn_drop_rate: float = 0., drop_rate: float = 0.) -> None:
        self.pretrained_window = pretrained_window
        super().__init__(embed_dims, num_heads, window, False, 1., attn_drop_rate, drop_rate)
        self.q_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None

    def build_bias(self) -> None:
        self.logit_scale = nn.Parameter(torch.full((self.num_heads, 1, 1), 10.).log())
        self.cpb_mlp = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU(),
                                     nn.Linear(HIDDEN, self.num_heads, bias=False))

    def derive(self) -> dict[str, Tensor]:
        offsets = relative_offsets(self.window, self.pretrained_window)
        return {'relative_coords_table': offsets, **super().derive()}

    def bias(self) -> Tensor:
        offsets = self.relative_coords_table.to(self.logit_scale)
        index = self.relative_position_index.to(offsets.device)
        position_bias = ops.choose(ops.position_bias, offsets, *self.cpb_mlp.modules())
        bias = position_bias(self.cpb_mlp, offsets, index)
        return bias

    @ops.calls('qkv')
    def project(self, x: Tensor) -> Tensor:
        """Tokens (..., C) -> queries, keys and values (..., 3C).

        Keys have length 1, queries that of the head's factor. Lengths are float32.
        """
        qkv: Tensor = self.qkv(x)
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
            qkv = qkv + bias.to(qkv.dtype)
        qkv = qkv.unflatten(-1, (3, self.num_heads, -1))
        precise = torch.promote_types(qkv.dtype, torch.float32)
        length = torch.linalg.vector_norm(qkv[..., :2, :, :], dim=-1, dtype=precise)
        q, k = (1 / length.masked_fill(length < SHORTEST, math.inf)).unbind(-2)
        scale = self.logit_scale.to(precise).clamp(max=math.log(HIGHEST_SCALE)).exp().flatten()
        factors = torch.stack((q * scale, k, torch.ones_like(k)), -2)
        return (qkv * factors[..., None]).to(qkv.dtype).flatten(-3)
