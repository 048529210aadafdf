"""Building blocks in plain torch, one idea per file."""
from .attention import Attention, MapAttention
from .blocks import SwinBlock, TransformerBlock
from .feed_forward import FeedForward
from .patch_embed import PatchEmbed
from .patch_merging import PatchMerging
from .position import resize_position
from .residual import DropPath, LayerScale
from .window_attention import ShiftedWindowAttention, WindowAttention
from .windows import crop, merge_windows, pad_to_windows, partition_windows, round_up, shift_mask

__all__ = [
    'Attention', 'DropPath', 'FeedForward', 'LayerScale', 'MapAttention', 'PatchEmbed',
    'PatchMerging', 'ShiftedWindowAttention', 'SwinBlock', 'TransformerBlock', 'WindowAttention',
    'crop', 'merge_windows', 'pad_to_windows', 'partition_windows', 'resize_position', 'round_up',
    'shift_mask',
]
