"""mmdet's flip, resize, crop and packing, with less work for a pixel; they need mmdet.

What is drawn, and in which order, stays mmdet's: the same random numbers give the same scales,
boxes and flips.
"""
import cv2
from mmdet.datasets import transforms as stock

from vit_plugin.registry import TRANSFORMS

from .common import FLIP_CODES, to_planes


@TRANSFORMS.register_module()
class RandomFlipWithBoxes(stock.RandomFlip):
    """mmdet's ``RandomFlip``, which leaves a contiguous image."""

    def _flip(self, results: dict) -> None:
        image = results['img']
        super()._flip(results)
        results['img'] = cv2.flip(image, FLIP_CODES[results['flip_direction']])


@TRANSFORMS.register_module()
class PackDetInputs(stock.PackDetInputs):
    """mmdet's ``PackDetInputs``, with the channels taken apart by OpenCV."""

    def transform(self, results: dict) -> dict:
        """Pack, see mmdet's."""
        if 'img' in results:
            results = dict(results, img=to_planes(results['img']))
        return super().transform(results)
