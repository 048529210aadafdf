"""Transformer blocks: two residual lines each, and how they are run."""
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vit_plugin import ops

from .residual import DropPath

# DeiT's epsilon.
LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)


class TransformerBlock(nn.Module):
    """(B, ..., C) -> (B, ..., C), a pre-norm ViT block of tokens or of a map.

    Args:
        embed_dims: C.
        attn: Attention with its LayerScale, (B, ..., C) -> (B, ..., C).
        ffn: MLP with its LayerScale, likewise.
        drop_path: Rate of stochastic depth.
        norm: C -> a norm of C channels.
        attn_drop_path: False to leave the attention out of stochastic depth.
    """

    def __init__(self, embed_dims: int, attn: nn.Module, ffn: nn.Module, drop_path: float = 0.,
                 norm: Callable[[int], nn.Module] = LAYER_NORM, attn_drop_path: bool = True
                 ) -> None:
        super().__init__()
        self.ln1 = norm(embed_dims)
        self.attn = attn
        self.ln2 = norm(embed_dims)
        self.ffn = ffn
        self.attn_drop_path = DropPath(drop_path) if attn_drop_path else DropPath(0.)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, *rotation: Tensor) -> Tensor:
        x = x + self.attn_drop_path(self.attn(self.ln1(x), *rotation))
        x = x + self.drop_path(self.ffn(self.ln2(x)))
        return x


class SwinBlock(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), a pre-norm block of a map.

    Args:
        embed_dims: C.
        attn: Attention in (shifted) windows, (B, H, W, C) -> (B, H, W, C).
        ffn: MLP, likewise.
        drop_path: Rate of stochastic depth.
        norm: C -> a norm of C channels.
    """

    def __init__(self, embed_dims: int, attn: nn.Module, ffn: nn.Module, drop_path: float = 0.,
                 norm: Callable[[int], nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.norm1 = norm(embed_dims)
        self.attn = attn
        self.norm2 = norm(embed_dims)
        self.ffn = ffn
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.ffn(self.norm2(x)))
        return x


class SwinBlockV2(SwinBlock):
    """(B, H, W, C) -> (B, H, W, C), a block of a map with its norms after attention and MLP.

    Swin V2, section 3.2. ``norm3``, after the block, is a norm in every sixth block of Swin V2-H
    and -G, and nothing else in all others.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm3: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.norm1(self.attn(x)))
        x = x + self.drop_path(self.norm2(self.ffn(x)))
        x = self.norm3(x)
        return x


def run_block(block: nn.Module, x: Tensor, with_cp: bool = False, *rotation: Tensor) -> Tensor:
    """``block(x, *rotation)``; its backward pass computes again what is cheap to compute.

    With ``with_cp`` that is the whole block, else what `vit_plugin.ops.saving` leaves out.
    """
    if with_cp and torch.is_grad_enabled():
        x = checkpoint(block, x, *rotation, use_reentrant=False)
        return x
    saving = ops.choose(ops.saving, x)
    with saving(block):
        x = block(x, *rotation)
    return x
