"""The feature maps of every scale."""
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vit_plugin.backbones import DeiT, SwinTransformer

from .drawing import finish, grid, show_image
from .subject import PictureError, Subject, View, hooked, patch_grid


def backbone_layers(backbone: Any) -> list[Any]:
    """The blocks after which a map is taken: of every stage, or of DeiT's ``out_indices``."""
    if isinstance(backbone, SwinTransformer):
        return [stage.blocks[-1] for stage in backbone.stages]
    if isinstance(backbone, DeiT):
        return [backbone.layers[i] for i in backbone.out_indices]
    raise PictureError('pyramid needs a DeiT or a SwinTransformer, and this config has a '
                       f'{type(backbone).__name__}')


def feature_maps(subject: Subject, view: View) -> tuple[list[Tensor], list[Tensor]]:
    """The maps (C, h, w) of the backbone, and those of the neck where it gives maps."""
    backbone, model = subject.backbone, subject.model
    own: list[Tensor] = []
    after: list[Tensor] = []

    def keep(_: Any, __: Any, x: Tensor) -> None:
        if x.ndim == 3:  # DeiT's tokens
            x = x[:, backbone.num_extra_tokens:].unflatten(1, patch_grid(backbone, view.inputs))
        own.append(x[0].permute(2, 0, 1))

    def keep_neck(_: Any, __: Any, outputs: Any) -> None:
        maps = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        after.extend(x[0] for x in maps if isinstance(x, Tensor) and x.ndim == 4)

    necks = [model.neck] if getattr(model, 'neck', None) is not None else []
    with torch.no_grad(), hooked(backbone_layers(backbone), keep), hooked(necks, keep_neck):
        model.extract_feat(view.inputs)
    return own, after


def to_colours(features: Tensor) -> np.ndarray:
    """(C, h, w) -> RGB (h, w, 3): the three directions in which features differ most.

    Principal components of the h*w features, each stretched to [0, 1].
    """
    channels, height, width = features.shape
    points = features.reshape(channels, -1).T.float()
    points = points - points.mean(0)
    _, _, directions = torch.linalg.svd(points, full_matrices=False)
    directions = directions[:3]
    # A direction's sign is arbitrary: its largest entry is made positive.
    largest = directions.abs().argmax(1, keepdim=True)
    projected = points @ (directions * directions.gather(1, largest).sign()).T
    projected = torch.nn.functional.pad(projected, (0, 3 - projected.shape[1]))
    low, high = projected.amin(0), projected.amax(0)
    stretched = (projected - low) / (high - low).clamp(min=1e-12)
    return stretched.reshape(height, width, 3).numpy()


def draw(subject: Subject, images: list[str]) -> Figure:
    """One or two rows for each image: the maps of the backbone, and of the neck."""
    views = [subject.view(path) for path in images]
    rows: list[tuple[View, str, list[Tensor]]] = []
    for view in views:
        own, after = feature_maps(subject, view)
        rows.append((view, f'backbone: {type(subject.backbone).__name__}', own))
        if after:
            rows.append((view, f'neck: {type(subject.model.neck).__name__}', after))
    figure, axes = grid(len(rows), 1 + max(len(maps) for _, _, maps in rows))
    shown = None
    for row, (view, part, maps) in zip(axes, rows):
        for axis in row[1 + len(maps):]:
            axis.axis('off')
        if shown is view:
            row[0].axis('off')
        else:
            show_image(row[0], view)
            shown = view
        row[1].set_ylabel(part, fontsize=9)
        for axis, features in zip(row[1:], maps):
            channels, height, width = features.shape
            axis.imshow(to_colours(features), extent=(0, width, height, 0))
            axis.set_title(f'{channels} × {height}×{width}, '
                           f'stride {round(view.inputs.shape[2] / height)}', fontsize=9)
    return finish(figure, 'Feature maps of each scale', 'Places with similar colours have similar '
                  'features (three principal components as red, green, blue).\nColours of '
                  'different maps cannot be compared.', subject)
