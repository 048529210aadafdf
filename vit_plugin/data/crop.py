"""Decoding, cropping and resizing in one step; it needs mmpretrain."""
from io import BytesIO
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmpretrain.datasets import transforms
from PIL import Image
from torch.nn.functional import interpolate

from vit_plugin.errors import UserError
from vit_plugin.registry import TRANSFORMS

from .loading import LoadImage, orientation, pixel_limit

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

END_OF_IMAGE = b'\xff\xd9'
SMALLEST_GAP = 2  # from the reduced image to the output; at 1, they differ by 2.4/255
REDUCTIONS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
              8: cv2.IMREAD_REDUCED_COLOR_8}


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(LoadImage):
    """`LoadImage` and mmpretrain's ``RandomResizedCrop`` in one.

    Samples the same boxes as ``RandomResizedCrop`` from the same random numbers. JPEG files are
    decoded by simplejpeg, or without it by OpenCV, to the same pixels; torch resizes, in 8 bits
    and with Pillow's antialiasing. Pixels differ from Pillow's by less than 0.3/255 on average.
    Where the box is at least 4 (8, 16) times as large as the output, the file is decoded at a half
    (a quarter, an eighth) of its size; the difference is then about 1/255. Images that are no
    common JPEG (other formats, CMYK, rotated by EXIF) are loaded by `LoadImage`.

    Args:
        scale: Size of the output, (height, width) or one number.
        crop_ratio_range, aspect_ratio_range, max_attempts: ``RandomResizedCrop``'s.
        interpolation: ``'bicubic'`` or ``'bilinear'``.
        **kwargs: `LoadImage`'s.

    Raises:
        UserError: an argument is wrong, or too many images cannot be decoded.
        FileNotFoundError: the file does not exist.
    """

    def __init__(self, scale: int | tuple[int, int], interpolation: str = 'bicubic',
                 crop_ratio_range: tuple[float, float] = (0.08, 1.0),
                 aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
                 max_attempts: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if interpolation not in ('bicubic', 'bilinear'):
            raise UserError(f"interpolation='{interpolation}' must be 'bicubic' or 'bilinear'")
        if self.color_type != 'color' or self.to_float32:
            raise UserError(f"color_type='{self.color_type}', to_float32={self.to_float32}: "
                            'LoadRandomResizedCrop gives 8 bits in colour')
        self.crop = transforms.RandomResizedCrop(
            scale, crop_ratio_range, aspect_ratio_range, max_attempts, interpolation)

    def transform(self, results: dict) -> dict | None:
        """Read ``results['img_path']``; ``None`` asks the data set for another image."""
        content = self.read(results) if 'img_path' in results else b''
        size = self.size_of_common_jpeg(content)
        if size is None:
            whole = super().transform(dict(results, img_bytes=content))
            if whole is None:
                return None
            image, reduction = whole['img'], 1
            results['ori_shape'] = image.shape[:2]
            box = self.sample_box(image.shape[:2])
        else:
            results['ori_shape'] = size
            box = self.sample_box(size)
            reduction = self.choose_reduction(box)
            try:
                image = decode(content, reduction)
            except ValueError as error:
                self.report(results['img_path'], error)
                return None
        results['img'] = self.resize(image, box, reduction)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def size_of_common_jpeg(self, content: bytes) -> tuple[int, int] | None:
        """(height, width) of a whole, upright JPEG of 8 bits; None for what `LoadImage` reads."""
        file = BytesIO(content)
        try:
            with pixel_limit(float('inf')), Image.open(file, formats=['JPEG']) as image:
                width, height = image.size
                is_common = image.format == 'JPEG' and image.mode in ('L', 'RGB')
                is_upright = orientation(image) == 1
        except Exception:  # damaged headers raise OSError, SyntaxError, struct.error, ...
            return None
        is_whole = content.rfind(END_OF_IMAGE, file.tell()) >= 0  # OpenCV would not tell
        largest = self.max_pixels or Image.MAX_IMAGE_PIXELS or float('inf')
        if is_common and is_upright and is_whole and height * width <= largest:
            return height, width
        return None

    def sample_box(self, shape: tuple[int, int]) -> Box:
        """A box in an image of this (height, width)."""
        # mmpretrain's asks an image for its shape only
        return Box(*self.crop.rand_crop_params(np.empty(shape, np.uint8)))

    def choose_reduction(self, box: Box) -> int:
        """1, 2, 4 or 8: the factor by which the box may be decoded smaller."""
        gap = min(box.height / self.crop.scale[0], box.width / self.crop.scale[1])
        allowed = [factor for factor in REDUCTIONS if gap >= SMALLEST_GAP * factor]
        return max(allowed, default=1)

    def resize(self, image: np.ndarray, box: Box, reduction: int) -> np.ndarray:
        """The part in the box, in the size of the output."""
        height, width = self.crop.scale
        top, left, h, w = box
        if reduction > 1:  # the box has fractional corners, which torch does not take
            resample = Image.Resampling[self.crop.interpolation.upper()]
            corners = (left / reduction, top / reduction,
                       (left + w) / reduction, (top + h) / reduction)
            return np.array(Image.fromarray(image).resize((width, height), resample, corners))
        part = torch.from_numpy(np.ascontiguousarray(image[top:top + h, left:left + w]))
        part = interpolate(part[None].permute(0, 3, 1, 2), (height, width),
                           mode=self.crop.interpolation, antialias=True)
        return part[0].permute(1, 2, 0).numpy()


def decode(content: bytes, reduction: int) -> np.ndarray:
    """Pixels (h, w, 3) of a JPEG file, BGR uint8.

    Args:
        content: The file.
        reduction: 1, 2, 4 or 8. Larger than 1, the decoder computes averages of as many pixels
            squared instead of the pixels (DCT scaling).

    Raises:
        ValueError: the file cannot be decoded.
    """
    if reduction == 1 and simplejpeg is not None:
        return simplejpeg.decode_jpeg(content, 'BGR', strict=False)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), REDUCTIONS[reduction])
    if image is None:
        raise UserError('OpenCV cannot decode it')
    return image
