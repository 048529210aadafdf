"""Transforms that change nothing, but refuse what mmdet and mmseg stumble over later, by name."""
from typing import Any

import numpy as np

from vit_plugin.errors import UserError
from vit_plugin.registry import TRANSFORMS

from .label_maps import check_depth


@TRANSFORMS.register_module()
class CheckMasks:
    """Refuse an object without a mask, before mmdet's ``LoadAnnotations(with_mask=True)``.

    mmdet's own words for a COCO annotation with an empty ``segmentation`` are ``KeyError: 'mask'``.
    """

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return ``results``, or raise `ValueError` with the image's name."""
        for instance in results.get('instances', []):
            if 'mask' not in instance:
                x1, y1, x2, y2 = instance['bbox']
                raise UserError(
                    f"the object at {[x1, y1, x2 - x1, y2 - y1]} (x, y, width, height) in the "
                    f"image '{results['img_path']}' has an empty segmentation: give it one, remove "
                    'the annotation, or train a detector without masks')
        return results


@TRANSFORMS.register_module()
class CheckLabels:
    """Refuse a label out of range or a map of another size, after mmseg's ``LoadAnnotations``.

    On a GPU, such a label ends in a device-side assertion that names neither file nor label; a map
    of another size than its image is trained on, or fails when a batch is put together. Labels that
    8 bits do not hold are looked for in the file, as ``LoadAnnotations`` makes others of them.

    Args:
        num_classes: Labels are 0 ... num_classes - 1, after ``reduce_zero_label``. ``None`` leaves
            their range unchecked.
        ignore_index: This label is allowed, too.
    """

    def __init__(self, num_classes: int | None = None, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return ``results``, or raise `ValueError` with the file's name."""
        if 'gt_seg_map' not in results:  # the toolkits' inferencers load none
            return results
        labels = results['gt_seg_map']
        if labels.ndim != 2:
            raise UserError(
                f"the label map '{results['seg_map_path']}' is a colour image, of shape "
                f'{labels.shape}: it must have one channel, whose values are the labels')
        check_depth(results['seg_map_path'])
        if labels.shape != results.get('ori_shape', labels.shape):
            raise UserError(
                f"the label map '{results['seg_map_path']}' has {labels.shape} pixels (height, "
                f"width), but its image '{results.get('img_path')}' has {results['ori_shape']}: "
                'they must be the same')
        if self.num_classes is None:
            return results
        wrong = labels[(labels >= self.num_classes) & (labels != self.ignore_index)]
        if wrong.size:
            shift = 1 if results.get('reduce_zero_label') else 0
            raise UserError(
                f"the label map '{results['seg_map_path']}' has the label(s) "
                f'{(np.unique(wrong).astype(int) + shift).tolist()}, but the model has '
                f'{self.num_classes} classes: {shift} ... {self.num_classes - 1 + shift}'
                + (', with 0 for pixels without one' if shift else '')
                + f', or {self.ignore_index}')
        return results
