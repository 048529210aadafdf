"""Transforms that change nothing: the checks of one sample's annotations, in a pipeline."""

from vit_plugin.registry import TRANSFORMS

from .coco import check_masks
from .findings import raise_errors
from .label_map import check_depth, check_range, check_size


@TRANSFORMS.register_module()
class CheckMasks:
    """Refuse an object without a mask, before mmdet's ``LoadAnnotations(with_mask=True)``.

    mmdet's own words for a COCO annotation with an empty ``segmentation`` are ``KeyError: 'mask'``.
    """

    def __call__(self, results: dict) -> dict:
        """Return ``results``, or raise `UserError` with the image's name."""
        raise_errors(check_masks(results.get('instances', []), results.get('img_path')))
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

    def __call__(self, results: dict) -> dict:
        """Return ``results``, or raise `UserError` with the file's name."""
        if 'gt_seg_map' not in results:  # the toolkits' inferencers load none
            return results
        labels, path = results['gt_seg_map'], results['seg_map_path']
        raise_errors(check_size(labels, path, results.get('img_path'), results.get('ori_shape')))
        raise_errors(check_depth(path))
        if self.num_classes is not None:
            raise_errors(check_range(labels, path, self.num_classes, [self.ignore_index],
                                     bool(results.get('reduce_zero_label'))))
        return results
