"""The channel order of Swin's patch merging, on the last axis of norm and reduction.

mmcv sorts the 4C channels by (channel, row, column), as ``torch.nn.Unfold`` does; the official
code, timm and Hugging Face by (column, row, channel): ``x[0::2, 0::2]``, ``x[1::2, 0::2]``,
``x[0::2, 1::2]``, ``x[1::2, 1::2]``. The norm of Swin V2 is after the
reduction and keeps its order.
"""
from torch import Tensor


def to_channel_first(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Patch mergings from (column, row, channel) to (channel, row, column)."""
    return reorder(weights, (2, 2, -1))


def to_channel_last(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Patch mergings from (channel, row, column) to (column, row, channel)."""
    return reorder(weights, (-1, 2, 2))


def reorder(weights: dict[str, Tensor], axes: tuple[int, int, int]) -> dict[str, Tensor]:
    """Split the channels of each patch merging into three axes and reverse them."""
    reordered = dict(weights)
    for key, value in weights.items():
        merging, is_merging, _ = key.partition('.downsample.')
        if is_merging and value.shape[-1] == merged_channels(weights, merging):
            split = value.reshape(*value.shape[:-1], *axes)
            reordered[key] = split.transpose(-1, -3).flatten(-3)
    return reordered


def merged_channels(weights: dict[str, Tensor], stage: str) -> int:
    """4C of the patch merging in a stage."""
    return weights[f'{stage}.downsample.reduction.weight'].shape[-1]
