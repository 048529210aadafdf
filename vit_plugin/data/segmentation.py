"""mmseg's random crop, colours and packing, with less work for a pixel; they need mmseg.

The same random numbers give the same results as mmseg's.
"""
import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets import transforms as stock

from vit_plugin.registry import TRANSFORMS

from .pixels import RAMP, to_planes


@TRANSFORMS.register_module()
class RandomCropWithLabels(stock.RandomCrop):
    """mmseg's ``RandomCrop``; OpenCV counts the labels in a crop."""

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Sample boxes (top, bottom, left, right) until no label takes more than its share."""
        image, labels = results['img'], results['gt_seg_map']
        if self.cat_max_ratio >= 1 or labels.dtype != np.uint8:
            return super().crop_bbox(results)
        for _ in range(10):
            box = self.sample_box(image.shape)
            part = np.ascontiguousarray(self.crop(labels, box))
            counts = cv2.calcHist([part], [0], None, [256], [0, 256]).ravel()
            if 0 <= self.ignore_index < 256:
                counts[self.ignore_index] = 0
            if (counts > 0).sum() > 1 and counts.max() / counts.sum() < self.cat_max_ratio:
                return box
        return self.sample_box(image.shape)

    def sample_box(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """A box in an image of this shape."""
        height, width = self.crop_size
        top = np.random.randint(0, max(shape[0] - height, 0) + 1)
        left = np.random.randint(0, max(shape[1] - width, 0) + 1)
        return top, top + height, left, left + width


@TRANSFORMS.register_module()
class PhotoMetricDistortion(stock.PhotoMetricDistortion):
    """mmseg's ``PhotoMetricDistortion``; values are looked up in tables of 256."""

    def convert(self, img: np.ndarray, alpha: float = 1, beta: float = 0) -> np.ndarray:
        """Multiply with alpha, add beta, clip."""
        return cv2.LUT(np.ascontiguousarray(img), super().convert(RAMP, alpha, beta))

    def hue(self, img: np.ndarray) -> np.ndarray:
        """Turn the hue."""
        if not np.random.randint(2):
            return img
        table = np.repeat(RAMP[..., None], 3, axis=2)
        shift = np.random.randint(-self.hue_delta, self.hue_delta)
        table[..., 0] = (RAMP.astype(int) + shift) % 180
        turned = cv2.LUT(cv2.cvtColor(img, cv2.COLOR_BGR2HSV), table)
        return cv2.cvtColor(turned, cv2.COLOR_HSV2BGR)


@TRANSFORMS.register_module()
class PackSegInputs(stock.PackSegInputs):
    """mmseg's ``PackSegInputs``, with the channels taken apart by OpenCV."""

    def transform(self, results: dict) -> dict:
        """Pack, see mmseg's."""
        return super().transform(dict(results, img=to_planes(results['img'])))
