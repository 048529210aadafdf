"""Flips, channels in planes and tables of pixel values, for all toolkits; needs mmcv."""
import cv2
import numpy as np
from mmcv.transforms import RandomFlip as StockFlip
from mmcv.transforms.utils import cache_randomness

from vit_plugin.registry import TRANSFORMS

FLIP_CODES = dict(horizontal=1, vertical=0, diagonal=-1)
# All values of a pixel, as a grey image.
RAMP = np.arange(256, dtype=np.uint8).reshape(1, 256)


def to_planes(image: np.ndarray) -> np.ndarray:
    """An image (H, W, C) stored channel by channel, which toolkits pack to (C, H, W) uncopied."""
    if image.ndim != 3 or image.dtype != np.uint8:
        return image
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return planes.transpose(1, 2, 0)


@TRANSFORMS.register_module()
class RandomFlip(StockFlip):
    """mmcv's ``RandomFlip``, which leaves a contiguous image."""

    @cache_randomness
    def _choose_direction(self) -> str | None:
        if isinstance(self.prob, float) and isinstance(self.direction, str):
            # What NumPy's choice with probabilities, which mmcv calls, does with the same number.
            return self.direction if np.random.random_sample() < self.prob else None
        return super()._choose_direction()

    def _flip(self, results: dict) -> None:
        image = results['img']
        super()._flip(results)
        results['img'] = cv2.flip(image, FLIP_CODES[results['flip_direction']])
