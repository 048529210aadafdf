"""COCO data sets that are checked before training, and their metric; they need mmdet."""
import os
from collections import Counter
from typing import Any

from mmdet import datasets
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import metrics
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from vit_plugin.checks.coco import (
    check_categories,
    check_category_ids,
    check_images,
    check_required,
)
from vit_plugin.checks.findings import raise_errors
from vit_plugin.errors import UserError
from vit_plugin.registry import DATASETS, METRICS

from .coco_fields import fill_in
from .loading import read_size


class CheckedCOCO(COCO):
    """pycocotools' ``COCO``, but what a file must have is asked for by name."""

    def __init__(self, annotation_file: str | None = None) -> None:
        self.path = annotation_file
        super().__init__(annotation_file)

    def createIndex(self) -> None:  # noqa: N802 (pycocotools' name)
        """Index the content; a missing id is a ``KeyError`` there."""
        raise_errors(check_required(self.dataset, str(self.path)))
        raise_errors(check_category_ids(self.dataset, str(self.path)))
        super().createIndex()


@DATASETS.register_module()
class CocoDataset(datasets.CocoDataset):
    """mmdet's ``CocoDataset``, but ``classes`` and annotation file must fit together.

    mmdet passes over annotations of a category that the file does not define, and over classes
    that the file does not have. It numbers the labels in the order of the file, so that classes in
    another order give predictions wrong names. ``classes`` may still be a part of the categories.
    Images that are missing are named before training, not when their turn comes. ``area``,
    ``iscrowd``, ``bbox``, ``height`` and ``width`` are filled in where they are absent or empty, as
    far as they follow from the rest: from the mask or box, and from the image.
    """

    COCOAPI = CheckedCOCO

    def load_data_list(self) -> list[dict]:
        """The images with their annotations.

        Raises:
            UserError: an annotation's category is not in the file, ``classes`` are not a part
                of its categories, in its order, an image is not on the disk, or something is
                absent that does not follow from the rest.
        """
        self.categories: dict[int, dict] = {}
        self.added: dict[str, Counter] = {'images': Counter(), 'annotations': Counter()}
        samples = super().load_data_list()
        added = [f'{", ".join(keys)} of {max(keys.values())} {part}'
                 for part, keys in self.added.items() if keys]
        if added:
            print_log(f"'{self.ann_file}': filled in what it lacks: {', '.join(added)}", 'current')
        if samples:
            known = [category['name'] for category in self.categories.values()]
            found = [self.categories[key]['name'] for key in self.cat_ids]
            raise_errors(check_categories(self.metainfo['classes'], found, known, self.ann_file))
        if self.backend_args is None:
            raise_errors(check_images([sample['img_path'] for sample in samples], self.ann_file))
        return samples

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict | list[dict]:
        """One image, with what its entries lack."""
        self.categories = self.coco.cats  # mmdet deletes coco when it has read all images
        self.added['images'].update(self.fill_in_size(raw_data_info['raw_img_info']))
        for annotation in raw_data_info['raw_ann_info']:
            self.added['annotations'].update(fill_in(annotation, self.ann_file))
        return super().parse_data_info(raw_data_info)

    def fill_in_size(self, image: dict[str, Any]) -> list[str]:
        """Add ``height`` and ``width`` from the image where they are absent, and name them."""
        missing = [key for key in ('height', 'width') if not image.get(key)]
        if missing:
            path = os.path.join(self.data_prefix['img'], image['file_name'])
            try:
                with get_local_path(path, backend_args=self.backend_args) as local_path:
                    size = dict(zip(('width', 'height'), read_size(local_path)))
            except OSError as error:
                raise UserError(
                    f"the image '{path}' has no {' or '.join(missing)} in '{self.ann_file}', and "
                    f'cannot be read to find out ({type(error).__name__}: {error})') from error
            image.update({key: size[key] for key in missing})
        return missing


@METRICS.register_module()
class CocoMetric(metrics.CocoMetric):
    """mmdet's ``CocoMetric``, but its file may lack what `CocoDataset` fills in.

    pycocotools, which computes it, needs ``area`` and ``iscrowd`` of every annotation, and for
    masks the sizes of the images; these come from the evaluated images.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics of mmdet.

        Raises:
            UserError: something is absent that does not follow from the rest.
        """
        if self._coco_api is not None:
            for image, _ in results:
                known = self._coco_api.imgs[image['img_id']]
                known.update({key: image[key] for key in ('height', 'width') if not known.get(key)})
            for annotation in self._coco_api.anns.values():
                fill_in(annotation, 'ann_file')
            for image in self._coco_api.imgs.values():
                if 'segm' in self.metrics and not (image.get('height') and image.get('width')):
                    raise UserError(
                        f"the image '{image['file_name']}' has no height or width in ann_file of "
                        'the evaluator, and was not evaluated: add them, or evaluate all images')
        return super().compute_metrics(results)
