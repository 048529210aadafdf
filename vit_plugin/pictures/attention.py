"""Pictures of the attention of a DeiT's tokens."""
from functools import reduce
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.layers import rotary_position, rotate

from .drawing import TWICE_EVEN, finish, grid, show_heat, show_image
from .subject import PictureError, Subject, View, record, token_grid


@torch.no_grad()
def attention_weights(backbone: Any, inputs: Tensor) -> list[Tensor]:
    """(1, 3, H, W) -> for each block its weights (heads, N, N), each row adding up to 1."""
    layers = [block.attn for block in backbone.layers]
    grid, tokens = token_grid(backbone, inputs), backbone.num_extra_tokens
    weights = []
    for layer, (x, _) in record(layers, backbone, inputs).items():
        qkv = layer.qkv(x[0]).unflatten(-1, (3, layer.num_heads, -1))  # (N, 3, heads, C)
        q, k, _ = qkv.permute(1, 2, 0, 3)
        if backbone.variant.position == 'rotary':
            angles = rotary_position(grid, q.shape[-1], tokens, device=q.device)
            q, k = (rotate(x.unsqueeze(0), angles)[0] for x in (q, k))
        weights.append((q @ k.transpose(-2, -1) * q.shape[-1]**-0.5).softmax(-1))
    return weights


def rollout(weights: list[Tensor]) -> Tensor:
    """Weights (heads, N, N) of each block -> (N, N), the input tokens' shares in the last ones.

    The product of ``0.5 * (mean over heads) + 0.5 * I`` over the blocks, I for the residual:
    Abnar & Zuidema, "Quantifying Attention Flow in Transformers", section 3,
    https://arxiv.org/abs/2005.00928.
    """
    steps = [0.5 * w.mean(0) + 0.5 * torch.eye(w.shape[-1], device=w.device) for w in weights]
    return reduce(lambda flow, step: step @ flow, steps)


def token_maps(backbone: Any, inputs: Tensor) -> dict[str, Tensor]:
    """Maps (h, w) by name: rollout and last block, of each token that the head reads.

    Each is divided by its mean, so that 1 is the average of all patches.
    """
    weights = attention_weights(backbone, inputs)
    first, names = backbone.num_extra_tokens, backbone.token_names
    shares = {'rollout': rollout(weights), 'last block': weights[-1].mean(0)}
    maps = {}
    for i, token in enumerate(('class token', 'distillation token')[:len(names)]):
        for name, attention in shares.items():
            to_patches = attention[i, first:]
            maps[f'{token}:\n{name}'] = (to_patches / to_patches.mean()).reshape(
                token_grid(backbone, inputs))
    return maps


def draw(subject: Subject, views: list[View]) -> Figure:
    """A row for each image: the image, then the attention of each token over it."""
    backbone = subject.backbone
    if backbone.window_size is not None:
        raise PictureError('attention shows where the tokens look, and a DeiT with window_size='
                           f'{backbone.window_size} has none: use the kind pyramid')
    figure, axes = grid(len(views), 1 + 2 * len(backbone.token_names))
    for row, view in zip(axes, views):
        show_image(row[0], view)
        for axis, (name, heat) in zip(row[1:], token_maps(backbone, view.inputs).items()):
            show_heat(axis, view.pixels, heat, backbone.patch_embed.patch_size, TWICE_EVEN)
            axis.set_title(name, fontsize=9)
    return finish(
        figure, 'Attention of the tokens that the head reads', 'Red patches get much '
        'attention, blue ones little; 1 is the average of all patches. Last block: mean of its '
        'heads.\nRollout: attention followed back through all blocks to the image.', subject)
