"""Reading of the part of an image that a random crop needs; it needs mmpretrain."""
from typing import Any

import numpy as np
import torch
from mmpretrain.datasets import transforms
from PIL import Image
from torch.nn.functional import interpolate

from vit_plugin.errors import UserError
from vit_plugin.registry import TRANSFORMS

from .jpeg import decode, read_frame
from .loading import LoadImage

SMALLEST_GAP = 2  # from the reduced image to the output; at 1, they differ by 2.4/255


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(LoadImage):
    """`LoadImage` and mmpretrain's ``RandomResizedCrop``, reading only what the crop needs.

    Draws the same boxes as ``RandomResizedCrop`` from the same random numbers. Of a JPEG file,
    rows below the box are not decoded. torch resizes, in 8 bits and with Pillow's antialiasing;
    pixels differ from Pillow's by less than 0.3/255 on average. Where the box is at least 4 (8, 16)
    times as large as the output, it is decoded at a half (a quarter, an eighth) of its size; the
    difference is then about 1/255. Images that are no common JPEG (other formats, CMYK, rotated by
    EXIF) are loaded by `LoadImage` as a whole.

    Args:
        scale: Size of the output, (height, width) or one number.
        crop_ratio_range, aspect_ratio_range, max_attempts: ``RandomResizedCrop``'s.
        interpolation: ``'bicubic'`` or ``'bilinear'``.
        **kwargs: `LoadImage`'s.

    Raises:
        ValueError: an argument is wrong, or too many images cannot be decoded.
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
        frame = read_frame(content)
        if frame is None or frame.height * frame.width > self.largest():
            whole = super().transform(dict(results, img_bytes=content))
            if whole is None:
                return None
            image, reduction = whole['img'], 1
            results['ori_shape'] = image.shape[:2]
            box = self.draw(image.shape[:2])
        else:
            results['ori_shape'] = frame[:2]
            box = self.draw(frame[:2])
            reduction = self.choose_reduction(box)
            try:
                image = decode(content, frame, box[0] + box[2], reduction)
            except ValueError as error:
                self.report(results['img_path'], error)
                return None
        results['img'] = self.resize(image, box, reduction)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def largest(self) -> float:
        """The number of pixels above which `LoadImage` has something to say."""
        return self.max_pixels or Image.MAX_IMAGE_PIXELS or float('inf')

    def draw(self, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """A box (top, left, height, width) in an image of this shape."""
        return self.crop.rand_crop_params(np.empty(shape, np.uint8))  # which takes the shape only

    def choose_reduction(self, box: tuple[int, int, int, int]) -> int:
        """1, 2, 4 or 8: how much smaller the box may be decoded."""
        gap = min(box[2] / self.crop.scale[0], box[3] / self.crop.scale[1])
        return max(n for n in (1, 2, 4, 8) if n == 1 or gap >= SMALLEST_GAP * n)

    def resize(self, image: np.ndarray, box: tuple[int, int, int, int], reduction: int = 1
               ) -> np.ndarray:
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
