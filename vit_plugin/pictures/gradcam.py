"""Grad-CAM: which places of an image speak for a class."""
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.backbones import DeiT

from .drawing import finish, grid, show_heat, show_image
from .subject import PictureError, Subject, View, record, token_grid

LEAST_SIDE = 4  # a map of fewer tokens a side shows no place
CLASSES = 2  # the likeliest ones that are shown


def target_layer(backbone: Any, inputs: Tensor
                 ) -> tuple[Any, Callable[[Tensor], Tensor]]:
    """The layer to look at, and how its output becomes (B, C, h, w).

    DeiT: what enters the last attention, because only the tokens are read after it. Swin: the
    last block of the deepest stage whose map still has 4x4 tokens.
    """
    if isinstance(backbone, DeiT):
        shape, first = token_grid(backbone, inputs), backbone.num_extra_tokens
        return backbone.layers[-1].ln1, lambda x: x[:, first:].transpose(1, 2).unflatten(2, shape)
    last_blocks = [stage.blocks[-1] for stage in backbone.stages]
    chosen = last_blocks[0]
    for block, (_, x) in record(last_blocks, backbone, inputs).items():
        if min(x.shape[1:3]) >= LEAST_SIDE:
            chosen = block
    return chosen, lambda x: x.permute(0, 3, 1, 2)


def class_maps(subject: Subject, view: View) -> list[tuple[int, float, Tensor]]:
    """(class, probability, map (H, W) with maximum 1) of the likeliest classes."""
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise PictureError("gradcam needs the library grad-cam: pip install 'grad-cam'") from error
    layer, to_map = target_layer(subject.backbone, view.inputs)
    with torch.no_grad():
        probabilities = subject.model(view.inputs)[0].softmax(0)
    # Gradients must reach the layer even where all before it is frozen.
    inputs = view.inputs.clone().requires_grad_()
    found = []
    with GradCAM(subject.model, [layer], reshape_transform=to_map) as cam:
        for probability, label in zip(*probabilities.topk(min(CLASSES, len(probabilities)))):
            heat = cam(inputs, targets=[ClassifierOutputTarget(int(label))])[0]
            found.append((int(label), float(probability), torch.from_numpy(heat)))
    return found


def draw(subject: Subject, views: list[View]) -> Figure:
    """A row for each image: the image, and what speaks for each of its likeliest classes."""
    with_head = getattr(subject.model, 'with_head', False)
    if subject.cfg.get('default_scope') != 'mmpretrain' or not with_head:
        raise PictureError('gradcam needs a classifier, and this config has a '
                           f'{type(subject.model).__name__}: use the kind predictions or pyramid')
    figure, axes = grid(len(views), 1 + CLASSES)
    for row, view in zip(axes, views):
        show_image(row[0], view)
        for axis, (label, probability, heat) in zip(row[1:], class_maps(subject, view)):
            show_heat(axis, view.pixels, heat, (1, 1), 1.)
            axis.set_title(f'for “{subject.class_name(label)}” (predicted with '
                           f'{100 * probability:.0f} %)', fontsize=9)
    return finish(figure, 'Grad-CAM of the likeliest classes', 'Red places speak for the '
                  "class: stronger features there raise its score.\nEach map's maximum is 1.",
                  subject)
