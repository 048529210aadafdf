"""The channel order of Swin's patch merging, on the last axis of norm and reduction.

mmcv sorts the 4C channels by (channel, row, column), as ``torch.nn.Unfold`` does; the official
code, timm and Hugging Face by (column, row, channel): ``x[0::2, 0::2]``, ``x[1::2, 0::2]``,
``x[0::2, 1::2]``, ``x[1::2, 1::2]``.
"""
from torch import Tensor


def to_channel_first(weight: Tensor) -> Tensor:
    """(column, row, channel) -> (channel, row, column)."""
    return weight.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3)


def to_channel_last(weight: Tensor) -> Tensor:
    """(channel, row, column) -> (column, row, channel)."""
    return weight.unflatten(-1, (-1, 2, 2)).transpose(-1, -3).flatten(-3)


def is_merging(key: str) -> bool:
    """Whether a key's last axis is the 4C channels of a patch merging."""
    return '.downsample.norm.' in key or '.downsample.reduction.' in key
