"""The change from the student's pixels to those that its teacher was trained on."""
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin.errors import UserError

from .image_processors import scale_and_offset


class Normalisation(NamedTuple):
    """Mean and deviation of pixels from 0 to 255, with the channels in the order after ``flip``."""

    mean: Tensor
    std: Tensor
    flip: bool  # whether the channels are reversed, from the BGR of mmcv to RGB as a rule

    def __str__(self) -> str:
        mean, std = (value.flatten().tolist() for value in (self.mean, self.std))
        return f'mean={mean}, std={std}, to_rgb={self.flip}'


class PixelConversion:
    """Student's pixels (B, 3, H, W) -> teacher's (B, 3, h, w): channel order, size, mean and std.

    Args:
        student: The normalisation that the student's pixels have.
        teacher: The normalisation that the teacher was trained with.
        resize: (height, width) for the teacher, by antialiased bilinear interpolation; ``None``
            leaves the student's size.
    """

    def __init__(self, student: Normalisation, teacher: Normalisation,
                 resize: tuple[int, int] | None = None) -> None:
        self.flip = student.flip != teacher.flip
        mean, std = student.mean, student.std
        if self.flip:
            mean, std = mean.flip(0), std.flip(0)
        # (x * std + mean - own_mean) / own_std as one multiplication and one addition
        self.scale, self.offset = std / teacher.std, (mean - teacher.mean) / teacher.std
        self.renormalise = bool((self.scale != 1).any() or (self.offset != 0).any())
        self.resize = resize

    def __call__(self, x: Tensor) -> Tensor:
        if self.flip:
            x = x.flip(1)
        if self.resize is not None and x.shape[2:] != self.resize:
            x = F.interpolate(x, self.resize, mode='bilinear', antialias=True)
        if self.renormalise:
            x = x * self.scale + self.offset
        return x

    def __repr__(self) -> str:
        return (f'PixelConversion(flip={self.flip}, resize={self.resize}, '
                f'scale={self.scale.flatten().tolist()}, offset={self.offset.flatten().tolist()})')

    def apply(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow the student to another device or type (``nn.Module._apply``)."""
        self.scale, self.offset = fn(self.scale), fn(self.offset)


def convert_pixels(student: nn.Module, model: nn.Module,
                   resize: int | Sequence[int] | None = None) -> PixelConversion:
    """The conversion between a student's data preprocessor and a teacher.

    The teacher's normalisation is that of its own data preprocessor, or what timm's
    ``pretrained_cfg`` or Hugging Face's image processor says of it.

    Raises:
        UserError: the student's pixels are normalised, and the teacher does not say how its own
            are; or ``resize`` is not a positive size.
    """
    size = None if resize is None else check_size(resize)
    own = getattr(model, 'data_preprocessor', None)
    given, known = find_normalisation(student), find_normalisation(own) or of_library(model)
    if given is not None and known is None:
        raise UserError(
            f'the teacher {type(model).__name__} does not say how its pixels are normalised, but '
            f"the student's are, with {given}: add data_preprocessor=dict(mean=[...], std=[...], "
            'to_rgb=...) to teacher=, with the values that it was trained with, or mean=[0, 0, 0], '
            'std=[1, 1, 1] if it takes raw pixels from 0 to 255')
    raw = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    return PixelConversion(given or Normalisation(*raw, flips(student)),
                           known or Normalisation(*raw, flips(own)), size)


def check_size(resize: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of ``resize``, or `UserError`."""
    size = (resize, resize) if isinstance(resize, int) else tuple(resize)
    if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise UserError(f'resize={resize!r} of the teacher must be a positive number of pixels, '
                        'or (height, width)')
    return size[0], size[1]


def find_normalisation(preprocessor: Any) -> Normalisation | None:
    """The normalisation by a data preprocessor of any toolkit; ``None`` where there is none."""
    if not hasattr(preprocessor, 'mean'):
        return None
    return Normalisation(preprocessor.mean, preprocessor.std, flips(preprocessor))


def flips(preprocessor: object) -> bool:
    """True if a data preprocessor of mmpretrain, mmdet or mmseg reverses the channels."""
    return any(getattr(preprocessor, name, False)
               for name in ('to_rgb', '_channel_conversion', 'channel_conversion'))


def of_library(model: nn.Module) -> Normalisation | None:
    """The normalisation of a model of timm or Hugging Face, bare or in mmpretrain's wrapper."""
    model = getattr(model, 'model', getattr(model, 'timm_model', model))
    timm = getattr(model, 'pretrained_cfg', None)
    if timm and timm.get('mean'):
        mean, std = (255 * torch.tensor(timm[key]).view(-1, 1, 1) for key in ('mean', 'std'))
        return Normalisation(mean, std, flip=True)
    name = getattr(getattr(model, 'config', None), '_name_or_path', None)
    return of_hugging_face(name) if name else None


def of_hugging_face(name: str) -> Normalisation | None:
    """The normalisation by the image processor of a folder, or of a model on the hub."""
    from transformers import AutoImageProcessor
    try:
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError):  # there is none
        return None
    scale, offset, is_rgb = scale_and_offset(processor)
    mean, std = (value.float().view(-1, 1, 1) for value in (-offset / scale, 1 / scale))
    return Normalisation(mean, std, flip=is_rgb)
