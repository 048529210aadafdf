"""Pictures of learnt positions: DeiT's position embedding, Swin's bias tables."""
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.backbones import DeiT

from .drawing import finish, grid
from .subject import PictureError, Subject

MOST_MAPS = 8  # a side
MOST_HEADS = 8


def position_similarity(backbone: DeiT) -> Tensor:
    """DeiT's cosine similarities (h, w, h, w): of each patch's position to that of each other."""
    positions = backbone.pos_embed.detach()[0, len(backbone.token_names):]
    positions = torch.nn.functional.normalize(positions, dim=1)
    return (positions @ positions.T).reshape(*backbone.grid, *backbone.grid)


def bias_maps(backbone: Any) -> list[Tensor]:
    """Swin's bias (heads, 2h-1, 2w-1) of each stage's last block, by the place looked at.

    The middle is the looking token's own place. The tables are the other way round: their offsets
    lead from the token looked at to the one that looks.
    """
    maps = []
    for stage in backbone.stages:
        attention = stage.blocks[-1].attn.w_msa
        height, width = attention.window
        bias = attention.bias().detach()
        table = bias.new_zeros(len(bias), (2 * height - 1) * (2 * width - 1))
        table[:, attention.relative_position_index.flatten()] = bias.flatten(1)
        maps.append(table.unflatten(1, (2 * height - 1, -1)).flip(1, 2))
    return maps


def draw(subject: Subject) -> Figure:
    """The picture of the backbone's kind."""
    if isinstance(subject.backbone, DeiT):
        if subject.backbone.variant.position == 'rotary':
            raise PictureError('positions shows learnt ones, and rotary positions are not: use '
                               'the kind attention')
        return draw_similarity(subject)
    return draw_biases(subject)


def draw_similarity(subject: Subject) -> Figure:
    """A grid of maps, one for each patch (or every second, third ...): ViT, figure 7."""
    similarity = position_similarity(subject.backbone).numpy()
    height, width = similarity.shape[:2]
    step = -(-max(height, width) // MOST_MAPS)
    chosen = similarity[::step, ::step]
    figure, axes = grid(chosen.shape[0], chosen.shape[1], width=0.8, height=0.8)
    for (row, column), axis in np.ndenumerate(axes):
        shown = axis.imshow(chosen[row, column], vmin=-1, vmax=1, cmap='coolwarm')
        axis.plot(column * step, row * step, marker='o', markersize=3, markerfacecolor='none',
                  markeredgecolor='black')
        if column == 0:
            axis.set_ylabel(row * step, rotation=0, ha='right', va='center', fontsize=8)
        if row == chosen.shape[0] - 1:
            axis.set_xlabel(column * step, fontsize=8)
    figure.colorbar(shown, ax=axes, label='cosine similarity', shrink=0.8)
    return finish(figure, 'Similarity of position embeddings', 'Each map belongs to the patch '
                  'in the row and column that the numbers name (circle),\nand shows how similar '
                  'its position is to those of all patches.', subject)


def draw_biases(subject: Subject) -> Figure:
    """A row for each stage, a column for each head."""
    stages = bias_maps(subject.backbone)
    columns = min(MOST_HEADS, max(len(maps) for maps in stages))
    figure, axes = grid(len(stages), columns, width=1.3, height=1.3)
    reach = max(float(maps.abs().max()) for maps in stages) or 1.
    for i, (row, maps) in enumerate(zip(axes, stages)):
        height, width = ((side + 1) // 2 for side in maps.shape[1:])
        extent = (-width + 0.5, width - 0.5, height - 0.5, -height + 0.5)
        row[0].set_ylabel(f'stage {i + 1}', fontsize=9)
        for j, (axis, values) in enumerate(zip(row, maps)):
            shown = axis.imshow(values, vmin=-reach, vmax=reach, cmap='coolwarm', extent=extent)
            axis.plot(0, 0, marker='+', color='black', markersize=5)
            axis.set_title(f'head {j + 1}', fontsize=8)
    figure.colorbar(shown, ax=axes, label='added to the attention score', shrink=0.8)
    return finish(figure, "Relative position bias of each stage's last block", 'How much a head '
                  'prefers tokens by their place relative to its own (+).\nRed: looked at more, '
                  'blue: less.', subject)
