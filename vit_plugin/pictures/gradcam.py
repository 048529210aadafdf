"""Grad-CAM: which places of an image speak for a class."""
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.backbones import DeiT, SwinTransformer

from .drawing import finish, grid, show_heat, show_image
from .subject import PictureError, Subject, View, hooked, patch_grid

# A map of fewer tokens a side shows no place.
LEAST_SIDE = 4


def target_layer(backbone: Any, inputs: Tensor) -> tuple[Any, Any]:
    """The layer to look at, and how its output becomes (B, C, h, w).

    DeiT: what enters the last attention, because only the tokens are read after it. Swin: the
    last block of the deepest stage whose map still has 4x4 tokens.
    """
    if isinstance(backbone, DeiT):
        shape, first = patch_grid(backbone, inputs), backbone.num_extra_tokens
        return backbone.layers[-1].ln1, lambda x: x[:, first:].transpose(1, 2).unflatten(2, shape)
    sides: list[int] = []
    last_blocks = [stage.blocks[-1] for stage in backbone.stages]
    with torch.no_grad(), hooked(last_blocks, lambda _, __, x: sides.append(min(x.shape[1:3]))):
        backbone(inputs)
    large = [block for block, side in zip(last_blocks, sides) if side >= LEAST_SIDE]
    return (large or last_blocks[:1])[-1], lambda x: x.permute(0, 3, 1, 2)


def class_maps(subject: Subject, view: View, count: int) -> list[tuple[int, float, Tensor]]:
    """(class, probability, map (H, W) with maximum 1) of the ``count`` likeliest classes."""
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
        for probability, label in zip(*probabilities.topk(min(count, len(probabilities)))):
            heat = cam(inputs, targets=[ClassifierOutputTarget(int(label))])[0]
            found.append((int(label), float(probability), torch.from_numpy(heat)))
    return found


def draw(subject: Subject, images: list[str], count: int = 2) -> Figure:
    """A row for each image: the image, and what speaks for each of its likeliest classes."""
    if not (isinstance(subject.backbone, (DeiT, SwinTransformer)) and is_classifier(subject)):
        raise PictureError(
            'gradcam needs a classifier with a DeiT or a SwinTransformer, and this config has a '
            f'{type(subject.model).__name__} with a {type(subject.backbone).__name__}: use the '
            'kind predictions or pyramid')
    views = [subject.view(path) for path in images]
    figure, axes = grid(len(views), 1 + count)
    for row, view in zip(axes, views):
        show_image(row[0], view)
        maps = class_maps(subject, view, count)
        for axis in row[1 + len(maps):]:
            axis.axis('off')
        for axis, (label, probability, heat) in zip(row[1:], maps):
            show_heat(axis, view.pixels, heat, (1, 1), 1.)
            axis.set_title(f'for “{subject.class_name(label)}” (predicted with '
                           f'{100 * probability:.0f} %)', fontsize=9)
    return finish(figure, 'Grad-CAM of the likeliest classes', 'Red places speak for the '
                  "class: stronger features there raise its score.\nEach map's maximum is 1.",
                  subject)


def is_classifier(subject: Subject) -> bool:
    """Whether the model is an mmpretrain classifier with a head."""
    return bool(subject.cfg.get('default_scope') == 'mmpretrain'
                and getattr(subject.model, 'with_head', False))
