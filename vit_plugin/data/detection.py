"""mmdet's flip and packing, with less work for a pixel; they need mmdet.

The same random numbers give the same scales, boxes and flips as mmdet's.
"""
from mmdet.datasets import transforms as stock

from vit_plugin.registry import TRANSFORMS

from .pixels import RandomFlip, to_planes


@TRANSFORMS.register_module()
class RandomFlipWithBoxes(RandomFlip, stock.RandomFlip):
    """mmdet's ``RandomFlip``, which leaves a contiguous image."""


@TRANSFORMS.register_module()
class PackDetInputs(stock.PackDetInputs):
    """mmdet's ``PackDetInputs``, with the channels taken apart by OpenCV."""

    def transform(self, results: dict) -> dict:
        """Pack, see mmdet's."""
        if 'img' in results:
            results = dict(results, img=to_planes(results['img']))
        return super().transform(results)
