"""The normalisation of Hugging Face's image processors, from their own answers."""
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vit_plugin.errors import UserError

SIZE = 512  # of the images, more than most crops, which would be padded else
COLOURS = ((20, 90, 200), (230, 10, 120))


def scale_and_offset(processor: object) -> tuple[Tensor, Tensor, bool]:
    """A processor as ``pixels * scale + offset``, (3,) each, and True if its channels are RGB.

    The images are of one colour, which stay so whatever is resized or cropped: a black and a white
    one tell scale and offset, two others the order of the channels, and that there is no more.

    Raises:
        UserError: the processor does anything else with colours.
    """
    black, white = processed(processor, (0, 0, 0)), processed(processor, (255, 255, 255))
    scale = (white - black) / 255
    given = torch.tensor(COLOURS, dtype=torch.float64)
    found = torch.stack([processed(processor, colour) for colour in COLOURS])
    for is_rgb, colours in ((True, given), (False, given.flip(1))):
        if torch.allclose(found, colours * scale + black, rtol=1e-4, atol=1e-3) and scale.all():
            return scale, black, is_rgb
    raise unclear(processor, f'makes {found.tolist()} of the colours {COLOURS}')


def processed(processor: Any, colour: tuple[int, ...]) -> Tensor:
    """The colour (3,) that a processor makes of another (RGB, 0 to 255)."""
    image = np.full((SIZE, SIZE, 3), colour, np.uint8)
    try:
        pixels = processor(images=image, return_tensors='pt')['pixel_values']
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unclear(processor, f'makes no pixels of one image ({error!r})') from error
    if pixels.ndim < 4 or pixels.shape[-3] != 3:
        raise unclear(processor, f'makes pixels of the shape {tuple(pixels.shape)} of an image')
    return pixels.flatten(0, -4)[0, :, pixels.shape[-2] // 2, pixels.shape[-1] // 2].double()


def unclear(processor: object, found: str) -> UserError:
    """The error for a processor that is no scale and offset."""
    return UserError(
        f"the teacher's image processor {type(processor).__name__} {found}, which a mean, std and "
        'channel order do not: add data_preprocessor=dict(mean=[...], std=[...], to_rgb=...) to '
        'teacher=, with the values that it was trained with')
