"""Pictures of the attention of a DeiT's tokens."""
from functools import reduce
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.backbones import DeiT, DistilledDeiT

from .drawing import TWICE_EVEN, finish, grid, show_heat, show_image
from .subject import PictureError, Subject, View, hooked, patch_grid


def attention_weights(backbone: Any, inputs: Tensor) -> list[Tensor]:
    """(1, 3, H, W) -> for each block its weights (heads, N, N), each row adding up to 1."""
    weights: list[Tensor] = []

    def keep(module: Any, args: tuple) -> None:
        _, n, c = args[0].shape
        qkv = module.qkv(args[0][0]).reshape(n, 3, module.num_heads, c // module.num_heads)
        q, k, _ = qkv.permute(1, 2, 0, 3)
        weights.append((q @ k.transpose(-2, -1) * q.shape[-1]**-0.5).softmax(-1))

    with torch.no_grad(), hooked([block.attn for block in backbone.layers], keep, before=True):
        backbone(inputs)
    return weights


def rollout(weights: list[Tensor]) -> Tensor:
    """Weights (heads, N, N) of each block -> (N, N), the input tokens' shares in the last ones.

    The product of ``0.5 * (mean over heads) + 0.5 * I`` over the blocks, I for the residual:
    Abnar & Zuidema, "Quantifying Attention Flow in Transformers", section 3,
    https://arxiv.org/abs/2005.00928.
    """
    steps = [0.5 * w.mean(0) + 0.5 * torch.eye(w.shape[-1], device=w.device) for w in weights]
    return reduce(lambda flow, step: step @ flow, steps)


def even_shares(attention: Tensor, shape: tuple[int, int]) -> Tensor:
    """A token's attention to all h*w patches -> (h, w), 1 where it is the average."""
    return (attention / attention.mean()).reshape(shape)


def token_maps(backbone: Any, view: View) -> dict[str, Tensor]:
    """Maps (h, w) by name: rollout and last block, of each token that the head reads."""
    weights = attention_weights(backbone, view.inputs)
    shape = patch_grid(backbone, view.inputs)
    first = backbone.num_extra_tokens
    maps = {}
    for i, token in enumerate(('class token', 'distillation token')[:first]):
        maps[f'{token}:\nrollout'] = even_shares(rollout(weights)[i, first:], shape)
        maps[f'{token}:\nlast block'] = even_shares(weights[-1].mean(0)[i, first:], shape)
    return maps


def draw(subject: Subject, images: list[str]) -> Figure:
    """A row for each image: the image, then the attention of each token over it."""
    if not isinstance(subject.backbone, DeiT):
        raise PictureError(
            f'attention needs a DeiT, and this config has a {type(subject.backbone).__name__}'
            ': use the kind windows or gradcam')
    if subject.backbone.window_size is not None:
        raise PictureError('attention shows where the tokens look, and a DeiT with window_size='
                           f'{subject.backbone.window_size} has none: use the kind pyramid')
    views = [subject.view(path) for path in images]
    columns = 5 if isinstance(subject.backbone, DistilledDeiT) else 3
    figure, axes = grid(len(views), columns)
    for row, view in zip(axes, views):
        show_image(row[0], view)
        for axis, (name, heat) in zip(row[1:], token_maps(subject.backbone, view).items()):
            show_heat(axis, view.pixels, heat, subject.backbone.patch_embed.patch_size,
                      TWICE_EVEN)
            axis.set_title(name, fontsize=9)
    return finish(
        figure, 'Attention of the tokens that the head reads', 'Red patches get much '
        'attention, blue ones little; 1 is the average of all patches. Last block: mean of its '
        'heads.\nRollout: attention followed back through all blocks to the image.', subject)
