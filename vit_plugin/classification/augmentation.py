"""Augmentation of a whole batch on the model's device; it needs mmpretrain.

Operations take 8-bit images (N, 3, H, W), in BGR, with one value for each of them.
"""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

Values = Sequence[Any]
GREY = (0.114, 0.587, 0.299)  # ITU-R BT.601, of blue, green and red
BLUR = torch.tensor([[1., 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
DIRECTIONS = dict(horizontal=(-1,), vertical=(-2,), diagonal=(-2, -1))


@MODELS.register_module()
class AugmentingDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ``ClsDataPreprocessor``, which first applies what `DrawAugmentation` drew.

    For machines whose GPUs wait for few CPU cores. Only training images are augmented, as 8 bits
    and before everything else, Mixup and CutMix too. An image depends on its own draw alone, not on
    the batch, the process or the number of workers, so `SeededDataset` and resume keep their
    promise; noise is the same on the same type of device.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Augment if ``training``, then see mmpretrain's.

        Raises:
            ValueError: nothing was drawn, or the images come one by one.
        """
        if training:
            if not isinstance(data['inputs'], Tensor):
                raise UserError('AugmentingDataPreprocessor takes images as one tensor: add '
                                "collate_fn=dict(type='default_collate') to train_dataloader")
            steps = [sample.get('augmentation') for sample in data['data_samples']]
            if any(found is None for found in steps):
                raise UserError(
                    'AugmentingDataPreprocessor found no augmentation with the images: add '
                    'vit_plugin.DrawAugmentation to the training pipeline, and end it with '
                    'vit_plugin.PackInputs')
            data = dict(data, inputs=augment(self.cast_data(data['inputs']), steps))
        return super().forward(data, training)


def augment(images: Tensor, steps: Sequence[Sequence]) -> Tensor:
    """Apply to each image (N, 3, H, W) its steps, those of one kind and place together."""
    images = images.clone()
    with torch.autocast(images.device.type, enabled=False):  # its 8 bits are too few for places
        for place in zip(*steps):
            for name in {step[0] for step in place if step}:
                chosen = [i for i, step in enumerate(place) if step and step[0] == name]
                images[chosen] = OPERATIONS[name](images[chosen], [place[i][1] for i in chosen])
    return images


def flip(images: Tensor, directions: Values) -> Tensor:
    """Mirror each image."""
    return torch.stack([image.flip(DIRECTIONS[direction])
                        for image, direction in zip(images, directions)])


def look_up(images: Tensor, tables: Values) -> Tensor:
    """Replace each value by its entry in a table of 256."""
    values = torch.from_numpy(np.stack(tables)).to(images.device)
    return apply_tables(images, values[:, None].expand(-1, images.shape[1], -1))


def apply_tables(images: Tensor, tables: Tensor) -> Tensor:
    """The same with tables (N, 3, 256) of any type, whose values are cut to 0 ... 255."""
    tables = tables.clamp(0, 255).to(torch.uint8)
    return tables.gather(2, images.flatten(2).long()).view_as(images)


def ramp(images: Tensor) -> Tensor:
    """All values of a pixel."""
    return torch.arange(256, dtype=torch.float64, device=images.device)


def grey(images: Tensor) -> Tensor:
    """(N, 1, H, W), rounded."""
    weights = torch.tensor(GREY, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True).round()


def as_factors(images: Tensor, values: Values) -> Tensor:
    """One number for each image, (N, 1, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=images.device).view(-1, 1, 1, 1)


def blend(images: Tensor, others: Tensor, factors: Values, offset: float = 0) -> Tensor:
    """Move values from (factor > 1) or to (< 1) those of other images."""
    values = as_factors(images, factors)
    mixed = images * values + others * (1 - values) + offset
    return mixed.round().clamp(0, 255).to(torch.uint8)


def auto_contrast(images: Tensor, values: Values) -> Tensor:
    """Stretch each channel to 0 ... 255."""
    low, high = (extreme.double()[..., None] for extreme in
                 (images.amin((2, 3)), images.amax((2, 3))))
    scale = 255 / (high - low).clamp(min=1)
    stretched = ramp(images) * scale - low * scale
    return apply_tables(images, torch.where(high > low, stretched, ramp(images)))


def equalize(images: Tensor, values: Values) -> Tensor:
    """Give each channel a flat histogram, as Pillow does."""
    pixels = images.flatten(2).long()
    counts = torch.zeros(*pixels.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, pixels, torch.ones_like(pixels))
    last = counts.gather(2, pixels.amax(2, keepdim=True))
    step = (pixels.shape[2] - last) // 255
    below = counts.cumsum(2) - counts
    flat = (below + step // 2) // step.clamp(min=1)
    return apply_tables(images, torch.where(step > 0, flat, ramp(images).long()))


def contrast(images: Tensor, factors: Values) -> Tensor:
    """Move all values from, or to, the mean of the grey image."""
    values = as_factors(images, factors)[:, 0]
    mean = grey(images).mean((2, 3)).round()[..., None]
    return apply_tables(images, (ramp(images).float() * values + mean * (1 - values))
                        .expand(-1, 3, -1))


def color(images: Tensor, factors: Values) -> Tensor:
    """Move all pixels from, or to, their grey."""
    return blend(images, grey(images), factors)


def sharpness(images: Tensor, factors: Values) -> Tensor:
    """Move all pixels from, or to, the mean of their neighbours; truncate, as Pillow does."""
    kernel = BLUR.to(images.device).expand(3, 1, 3, 3)
    padded = F.pad(images.float(), (1, 1, 1, 1), mode='reflect')
    return blend(images, F.conv2d(padded, kernel, groups=3).round(), factors, -0.499)


def move(images: Tensor, values: Values) -> Tensor:
    """Take each pixel (x, y) from the place ``matrix @ (x, y, 1)``, by bicubic interpolation."""
    matrices, fills = zip(*values)
    height, width = images.shape[2:]
    place = torch.from_numpy(np.stack(matrices)).to(images.device, torch.float32)
    fill = torch.tensor(fills, dtype=torch.float32, device=images.device).view(-1, 3, 1, 1)
    y, x = torch.meshgrid(torch.arange(height, device=images.device),
                          torch.arange(width, device=images.device), indexing='ij')
    grid = torch.stack([x, y, torch.ones_like(x)], -1).float() @ place.transpose(1, 2)[:, None]
    grid = grid * torch.tensor([2 / (width - 1), 2 / (height - 1)], device=images.device) - 1
    moved = F.grid_sample(images - fill, grid, mode='bicubic', align_corners=True)
    return (moved + fill).round().clamp(0, 255).to(torch.uint8)


def erase(images: Tensor, values: Values) -> Tensor:
    """Fill a box with normal noise."""
    for image, ((top, left, height, width), mean, std, seed) in zip(images, values):
        generator = torch.Generator(images.device).manual_seed(seed)
        noise = torch.randn(3, height, width, generator=generator, device=images.device)
        mean, std = (torch.tensor(value, dtype=torch.float32, device=images.device).view(3, 1, 1)
                     for value in (mean, std))
        image[:, top:top + height, left:left + width] = (noise * std + mean).clamp(0, 255)
    return images


OPERATIONS: dict[str, Callable[[Tensor, Values], Tensor]] = {
    function.__name__: function for function in (
        flip, look_up, auto_contrast, equalize, contrast, color, sharpness, move, erase)}
