"""Building blocks in plain torch, one idea per file: modules that own weights and call ops."""
from .activation import ACTIVATIONS, QuickGELU
from .attention import Attention, MaskedKeyBias
from .blocks import SwinBlock, SwinBlockV2, TransformerBlock, run_block
from .cosine_attention import CosineWindowAttention
from .feed_forward import FeedForward, SwiGLU
from .patch_embed import PatchEmbed
from .patch_merging import PatchMerging
from .position import resize_position
from .residual import DropPath, LayerScale
from .rotary import rotary_position, rotate
from .window_attention import ShiftedWindowAttention, WindowAttention

__all__ = [
    'ACTIVATIONS', 'Attention', 'CosineWindowAttention', 'DropPath', 'FeedForward', 'LayerScale',
    'MaskedKeyBias', 'PatchEmbed', 'PatchMerging', 'QuickGELU', 'ShiftedWindowAttention',
    'SwiGLU', 'SwinBlock', 'SwinBlockV2', 'TransformerBlock', 'WindowAttention', 'resize_position',
    'rotary_position', 'rotate', 'run_block',
]
