"""Swin V2's relative position bias: contract and reference."""
from torch import Tensor

from .attention import Map


def position_bias(mlp: Map, offsets: Tensor, index: Tensor) -> Tensor:
    """``16 * sigmoid(mlp(offsets))`` of every pair of tokens, (heads, N, N).

    Swin V2, section 3.3, "Continuous relative position bias"; the sigmoid is the official code's.

    Args:
        mlp: Offsets (..., 2) to (..., heads).
        offsets: (1, 2h-1, 2w-1, 2) those between two tokens of a window of h x w.
        index: (N, N) the number of the offset between two of the window's N tokens.
    """
    table = 16 * mlp(offsets).flatten(0, -2).sigmoid()
    return table[index].permute(2, 0, 1)
