"""Pictures of the attention inside a Swin's windows."""
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.layers import SwinBlockV2
from vit_plugin.ops import crop, pad_to_windows, shift_mask, window_partition, window_reverse

from .drawing import TWICE_EVEN, finish, grid, show_heat, show_image
from .subject import Subject, View, record


@dataclass
class BlockAttention:
    """The attention of one block over its whole map."""

    received: Tensor  # (h, w)
    window: tuple[int, int]
    shift: tuple[int, int]

    def borders(self) -> tuple[list[int], list[int]]:
        """The rows and the columns of the map before which a window begins, without the first.

        The map was rolled by ``-shift``, so windows begin at shift, shift + window, ...
        """
        (height, width), (rows, columns) = self.received.shape, self.window
        return (list(range(self.shift[0] or rows, height, rows)),
                list(range(self.shift[1] or columns, width, columns)))


def window_weights(block: Any, x: Tensor, shift: tuple[int, int]) -> Tensor:
    """(B, H, W, C), the input of a block, -> its attention weights (B, nW, heads, N, N)."""
    attention, window = block.attn.w_msa, block.attn.window
    if not isinstance(block, SwinBlockV2):  # its norm is after the attention
        x = block.norm1(x)
    x = pad_to_windows(x, window)
    size = (x.shape[1], x.shape[2])
    x = window_partition(x.roll((-shift[0], -shift[1]), dims=(1, 2)), window)
    b, windows, n, _ = x.shape
    qkv = attention.project(x).reshape(b, windows, n, 3, attention.num_heads, -1)
    q, k, _ = qkv.permute(3, 0, 1, 4, 2, 5)
    scale = attention.scale or q.shape[-1]**-0.5
    scores = scale * q @ k.transpose(-2, -1) + attention.bias()
    if any(shift):
        scores = scores + shift_mask(size, window, shift, x.device)[:, None]
    return scores.softmax(-1)


def received(block: Any, x: Tensor, shift: tuple[int, int]) -> Tensor:
    """(1, H, W, C) -> (H, W): the attention that a token gets from all of its window together.

    It is 1 where all tokens of a window look everywhere alike. Padding looks at nothing.
    """
    window = block.attn.window
    weights = window_weights(block, x, shift).mean(2)
    real = pad_to_windows(torch.ones_like(x[..., :1]), window)
    padded = (real.shape[1], real.shape[2])
    real = window_partition(real.roll((-shift[0], -shift[1]), dims=(1, 2)), window)
    total = window_reverse((weights * real).sum(2)[..., None], window, padded)
    return crop(total.roll(shift, dims=(1, 2)), (x.shape[1], x.shape[2]))[0, :, :, 0]


@torch.no_grad()
def stage_attention(backbone: Any, inputs: Tensor) -> list[list[BlockAttention]]:
    """(1, 3, H, W) -> for each stage the attention of its blocks."""
    blocks = chain(*(stage.blocks for stage in backbone.stages))
    seen = record(blocks, backbone, inputs)
    stages = []
    for stage in backbone.stages:
        found = []
        for block in stage.blocks:
            x, _ = seen[block]
            shift = block.attn.shift_of(x)
            found.append(BlockAttention(received(block, x, shift), block.attn.window, shift))
        stages.append(found)
    return stages


def draw(subject: Subject, views: list[View]) -> Figure:
    """Two rows for each image: each stage's last block with regular and with shifted windows."""
    backbone = subject.backbone
    figure, axes = grid(2 * len(views), 1 + len(backbone.stages))
    for rows, view in zip(axes.reshape(len(views), 2, -1), views):
        show_image(rows[0, 0], view)
        for j, blocks in enumerate(stage_attention(backbone, view.inputs)):
            height, width = backbone.patch_embed.patch_size
            cell = (height * 2**j, width * 2**j)
            for parity, axis in enumerate(rows[:, j + 1]):
                draw_block(axis, view.pixels, blocks[parity::2], cell, f'stage {j + 1}')
    return finish(
        figure, "Attention in Swin's windows", 'Tokens look only at tokens of their own window '
        '(white lines). Red ones get much of their attention, blue ones little; 1 is an even '
        'share.\nEvery other block shifts the windows: what one block separates, the next joins. '
        'Cut windows are filled up with padding, which gets attention, too.', subject)


def draw_block(axis: Axes, pixels: np.ndarray, blocks: list[BlockAttention],
               cell: tuple[int, int], stage: str) -> None:
    """The last one of some blocks with the borders of its windows."""
    if not blocks:
        axis.text(0.5, 0.5, f'{stage} has only\none block', ha='center', va='center', fontsize=9)
        return
    block = blocks[-1]
    height, width = block.received.shape
    show_heat(axis, pixels, block.received, cell, TWICE_EVEN)
    rows, columns = block.borders()
    for at in rows:
        axis.axhline(at * cell[0] - 0.5, color='white', linewidth=1)
    for at in columns:
        axis.axvline(at * cell[1] - 0.5, color='white', linewidth=1)
    kind = 'shifted windows' if any(block.shift) else 'regular windows'
    axis.set_title(f'{stage}, {height}×{width} tokens,\n{kind}', fontsize=9)
