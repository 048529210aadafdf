"""COCO data sets that are checked before training, and their metric; they need mmdet."""
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet import datasets
from mmdet.evaluation import metrics
from mmengine.fileio import get_local_path

from vit_plugin.checks.coco import (
    check_categories,
    check_images,
    check_objects,
    check_runs,
    check_sizes,
)
from vit_plugin.checks.findings import raise_and_log, raise_errors
from vit_plugin.errors import UserError, shorten
from vit_plugin.registry import DATASETS, METRICS

from .coco_fields import Entry, is_mask
from .coco_file import CheckedCOCO, log_filled_in
from .loading import pixel_limit, read_size

MEASURED = 10_000  # images, whose size is compared with the file's
CONFIRMED = 10  # of those of another size, which are loaded as in training
Size = tuple[int, int]  # width, height


@DATASETS.register_module()
class CocoDataset(datasets.CocoDataset):
    """mmdet's ``CocoDataset``, but ``classes``, images and annotation file must fit together.

    mmdet passes over annotations of a category that the file does not define, and over classes
    that the file does not have. It numbers the labels in the order of the file, so that classes in
    another order give predictions wrong names. ``classes`` may still be a part of the categories.
    Images that are missing, or of another size than the file says, are named before training, and
    objects that mmdet drops are counted. ``area``, ``iscrowd``, ``bbox``, ``height`` and ``width``
    are filled in where they are absent or empty, as far as they follow from the rest: from the mask
    or box, and from the image. What has one right reading is corrected, see `repair`.
    """

    COCOAPI = CheckedCOCO

    def load_data_list(self) -> list[dict]:
        """The images with their annotations.

        Raises:
            UserError: the file contradicts itself, the images or the ``classes``, an image is not
                on the disk, something is absent that does not follow from the rest, or no object
                is left.
        """
        self.categories: dict[int, dict] = {}
        self.added: Counter[str] = Counter()
        self.dropped: list[str] = []
        self.beyond: list[str] = []
        self.other_runs: list[str] = []
        samples = super().load_data_list()
        log_filled_in(self.ann_file, self.added, 'images')
        if samples:
            known = [category['name'] for category in self.categories.values()]
            found = [self.categories[key]['name'] for key in self.cat_ids]
            raise_errors(check_categories(self.metainfo['classes'], found, known, self.ann_file))
        if self.backend_args is None:
            raise_errors(check_images([sample['img_path'] for sample in samples], self.ann_file))
            raise_errors(check_sizes(self.measure(samples), self.ann_file))
        raise_errors(check_runs(self.other_runs, self.ann_file))
        left = sum(len(sample['instances']) for sample in samples)
        raise_and_log(check_objects(left, self.dropped, self.beyond, self.ann_file))
        return samples

    def parse_data_info(self, raw_data_info: dict) -> dict | list[dict]:
        """One image, with what its entries lack."""
        image, objects = raw_data_info['raw_img_info'], raw_data_info['raw_ann_info']
        self.categories = self.coco.cats  # mmdet deletes coco when it has read all images
        self.added.update(self.fill_in_size(image))
        sample = super().parse_data_info(raw_data_info)
        name, width, height = image['file_name'], image['width'], image['height']
        asked = [thing for thing in objects
                 if thing['category_id'] in self.cat2label and not thing.get('ignore', False)]
        self.dropped += [name] * (len(asked) - len(sample['instances']))
        for thing in asked:
            x, y, w, h = thing['bbox']
            if min(x, y) < -1 or x + w > width + 1 or y + h > height + 1:
                self.beyond.append(name)
            mask = thing.get('segmentation')
            if isinstance(mask, dict) and is_mask(mask) and [*mask['size']] != [height, width]:
                self.other_runs.append(name)
        return sample

    def fill_in_size(self, image: Entry) -> list[str]:
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

    def measure(self, samples: list[dict]) -> list[tuple[str, Size, Size]]:
        """Path, size in the file and size on the disk of the images, or of some of many.

        Sizes that differ by the headers are those of the images as the pipeline loads them, which
        may not turn images by their EXIF tag.
        """
        chosen = np.linspace(0, len(samples) - 1, min(MEASURED, len(samples))).astype(int)
        chosen_samples = [samples[i] for i in chosen]
        paths = [sample['img_path'] for sample in chosen_samples]
        with pixel_limit(float('inf')), ThreadPoolExecutor(16) as pool:
            sizes = list(pool.map(size_or_none, paths))
        load = next((step for step in self.pipeline.transforms
                     if isinstance(step, LoadImageFromFile)), None)
        found = []
        loaded = 0
        for sample, size in zip(chosen_samples, sizes):
            stated = sample['width'], sample['height']
            if size not in (None, stated) and load is not None and loaded < CONFIRMED:
                loaded += 1
                results = load(dict(img_path=sample['img_path']))
                size = results and results['img'].shape[1::-1]
            if size is not None:
                found.append((sample['img_path'], stated, size))
        return found


def size_or_none(path: str) -> Size | None:
    """(width, height) of an image as `read_size`; None if its header cannot be read."""
    try:
        return read_size(path) if os.path.isfile(path) else None  # a pipe would be waited for
    except Exception:  # damaged headers raise OSError, SyntaxError, struct.error, ...
        return None


@METRICS.register_module()
class CocoMetric(metrics.CocoMetric):
    """mmdet's ``CocoMetric``, whose file is checked, corrected and completed as the data set's.

    pycocotools, which computes it, needs ``area`` and ``iscrowd`` of every annotation, and for
    masks the sizes of the images, which come from the evaluated images, and a mask of each object.
    """

    def __init__(self, ann_file: str | None = None, metric: str | list[str] = 'bbox',
                 sort_categories: bool = False, backend_args: dict | None = None,
                 **kwargs: object) -> None:
        super().__init__(metric=metric, backend_args=backend_args, **kwargs)
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=backend_args) as local_path:
                self._coco_api = CheckedCOCO(local_path)
            if sort_categories:
                self._coco_api.dataset['categories'].sort(key=lambda category: category['id'])
                self._coco_api.cats = dict(sorted(self._coco_api.cats.items()))
        if 'segm' in self.metrics and self._coco_api is not None:
            self.check_masks()

    def check_masks(self) -> None:
        """Raise `UserError` if objects have no mask to evaluate."""
        without = [str(annotation['id']) for annotation in self._coco_api.anns.values()
                   if not is_mask(annotation.get('segmentation'))]
        if without:
            raise UserError(f"{len(without)} objects in '{self._coco_api.path}' have no mask, "
                            f'which metric=segm evaluates: annotations {shorten(without)}. Give '
                            "each a segmentation of three points or more, or evaluate 'bbox' alone")

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics of mmdet.

        Raises:
            UserError: an image is not in the file, or of unknown size.
        """
        if self._coco_api is not None:
            for image, _ in results:
                known = self._coco_api.imgs.get(image['img_id'])
                if known is None:
                    raise UserError(f"no image in ann_file of the evaluator, '{self._coco_api.path}"
                                    f"', has the id {image['img_id']!r} of an evaluated one: it "
                                    'must be the file of the data set')
                known.update({key: image[key] for key in ('height', 'width') if not known.get(key)})
            for image in self._coco_api.imgs.values():
                if 'segm' in self.metrics and not (image.get('height') and image.get('width')):
                    raise UserError(
                        f"the image '{image['file_name']}' has no height or width in ann_file of "
                        'the evaluator, and was not evaluated: add them, or evaluate all images')
        return super().compute_metrics(results)
