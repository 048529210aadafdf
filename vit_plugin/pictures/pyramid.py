"""The feature maps of every scale."""
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from vit_plugin.backbones import DeiT, SwinTransformer

from .drawing import finish, grid, show_image
from .subject import Subject, View, record, token_grid


def backbone_layers(backbone: DeiT | SwinTransformer) -> list[nn.Module]:
    """The blocks after which a map is taken: of every stage, or of DeiT's ``out_indices``."""
    if isinstance(backbone, SwinTransformer):
        return [stage.blocks[-1] for stage in backbone.stages]
    return [backbone.layers[i] for i in backbone.out_indices]


def feature_maps(subject: Subject, view: View) -> tuple[list[Tensor], list[Tensor]]:
    """The maps (C, h, w) of the backbone, and those of the neck where it gives maps."""
    backbone, model = subject.backbone, subject.model
    layers = backbone_layers(backbone)
    necks = [model.neck] if getattr(model, 'neck', None) is not None else []
    seen = record([*layers, *necks], model.extract_feat, view.inputs)
    own = []
    for layer in layers:
        _, x = seen[layer]
        if x.ndim == 3:  # DeiT's tokens
            patches = x[:, backbone.num_extra_tokens:]
            x = patches.unflatten(1, token_grid(backbone, view.inputs))
        own.append(x[0].permute(2, 0, 1))
    after: list[Tensor] = []
    for neck in necks:
        _, maps = seen[neck]
        maps = maps if isinstance(maps, (tuple, list)) else [maps]
        after += [x[0] for x in maps if isinstance(x, Tensor) and x.ndim == 4]
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


def draw(subject: Subject, views: list[View]) -> Figure:
    """One or two rows for each image: the maps of the backbone, and of the neck."""
    rows: list[tuple[View, str, list[Tensor]]] = []
    for view in views:
        own, after = feature_maps(subject, view)
        rows.append((view, f'backbone: {type(subject.backbone).__name__}', own))
        if after:
            rows.append((view, f'neck: {type(subject.model.neck).__name__}', after))
    figure, axes = grid(len(rows), 1 + max(len(maps) for _, _, maps in rows))
    for row, (view, part, maps) in zip(axes, rows):
        if part.startswith('backbone'):
            show_image(row[0], view)
        row[1].set_ylabel(part, fontsize=9)
        for axis, features in zip(row[1:], maps):
            channels, height, width = features.shape
            axis.imshow(to_colours(features), extent=(0, width, height, 0))
            axis.set_title(f'{channels} × {height}×{width}, '
                           f'stride {round(view.inputs.shape[2] / height)}', fontsize=9)
    return finish(figure, 'Feature maps of each scale', 'Places with similar colours have similar '
                  'features (three principal components as red, green, blue).\nColours of '
                  'different maps cannot be compared.', subject)
