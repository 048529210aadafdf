"""Pictures of the attention inside a Swin's windows."""
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.backbones import SwinTransformer
from vit_plugin.ops import crop, pad_to_windows, shift_mask, window_partition, window_reverse

from .drawing import TWICE_EVEN, finish, grid, show_heat, show_image
from .subject import PictureError, Subject, hooked


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
        rows, columns = (
            list(range(shift or window, length, window))
            for length, window, shift in zip(self.received.shape, self.window, self.shift))
        return rows, columns


def window_weights(block: Any, x: Tensor, shift: tuple[int, int]) -> Tensor:
    """(B, H, W, C), the input of a block, -> its attention weights (B, nW, heads, N, N)."""
    attention, window = block.attn.w_msa, block.attn.window
    x = pad_to_windows(block.norm1(x), window)
    size = (x.shape[1], x.shape[2])
    x = window_partition(x.roll((-shift[0], -shift[1]), dims=(1, 2)), window)
    b, windows, n, _ = x.shape
    qkv = attention.qkv(x).reshape(b, windows, n, 3, attention.num_heads, -1)
    q, k, _ = qkv.permute(3, 0, 1, 4, 2, 5)
    scores = q @ k.transpose(-2, -1) * q.shape[-1]**-0.5 + attention.bias()
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


def stage_attention(backbone: Any, inputs: Tensor) -> list[list[BlockAttention]]:
    """(1, 3, H, W) -> for each stage the attention of its blocks."""
    found: dict[Any, BlockAttention] = {}

    def keep(block: Any, args: tuple) -> None:
        shift = block.attn.shift_of(args[0])
        found[block] = BlockAttention(received(block, args[0], shift), block.attn.window, shift)

    blocks = [block for stage in backbone.stages for block in stage.blocks]
    with torch.no_grad(), hooked(blocks, keep, before=True):
        backbone(inputs)
    return [[found[block] for block in stage.blocks] for stage in backbone.stages]


def draw(subject: Subject, images: list[str]) -> Figure:
    """Two rows for each image: each stage's last block with regular and with shifted windows."""
    backbone = subject.backbone
    if not isinstance(backbone, SwinTransformer):
        raise PictureError(f'windows needs a SwinTransformer, and this config has a '
                           f'{type(backbone).__name__}: use the kind attention or gradcam')
    views = [subject.view(path) for path in images]
    figure, axes = grid(2 * len(views), 1 + len(backbone.stages))
    for i, view in enumerate(views):
        show_image(axes[2 * i, 0], view)
        axes[2 * i + 1, 0].axis('off')
        for j, blocks in enumerate(stage_attention(backbone, view.inputs)):
            cell = tuple(size * 2**j for size in backbone.patch_embed.patch_size)
            for axis, parity in ((axes[2 * i, j + 1], 0), (axes[2 * i + 1, j + 1], 1)):
                draw_block(axis, view.pixels, blocks[parity::2], cell, f'stage {j + 1}')
    return finish(
        figure, "Attention in Swin's windows", 'Tokens look only at tokens of their own window '
        '(white lines). Red ones get much of their attention, blue ones little; 1 is an even '
        'share.\nEvery other block shifts the windows: what one block separates, the next joins. '
        'Cut windows are filled up with padding, which gets attention, too.', subject)


def draw_block(axis: Any, pixels: Any, blocks: list[BlockAttention], cell: Any, stage: str) -> None:
    """The last one of some blocks with the borders of its windows."""
    if not blocks:
        axis.axis('off')
        axis.text(0.5, 0.5, f'{stage} has only\none block', ha='center', va='center', fontsize=9)
        return
    block = blocks[-1]
    height, width = block.received.shape
    show_heat(axis, pixels, block.received, cell, TWICE_EVEN)
    for at in block.borders()[0]:
        axis.axhline(at * cell[0] - 0.5, color='white', linewidth=1)
    for at in block.borders()[1]:
        axis.axvline(at * cell[1] - 0.5, color='white', linewidth=1)
    kind = 'shifted windows' if any(block.shift) else 'regular windows'
    axis.set_title(f'{stage}, {height}×{width} tokens,\n{kind}', fontsize=9)
