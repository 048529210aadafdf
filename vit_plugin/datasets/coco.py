"""COCO data sets that are checked before training; they need mmdet."""
import os
from typing import Any

from mmdet import datasets

from vit_plugin.registry import DATASETS
from vit_plugin.wording import shorten


@DATASETS.register_module()
class CocoDataset(datasets.CocoDataset):
    """mmdet's ``CocoDataset``, but ``classes`` and annotation file must fit together.

    mmdet passes over annotations of a category that the file does not define, and over classes
    that the file does not have. It numbers the labels in the order of the file, so that classes in
    another order give predictions wrong names. ``classes`` may still be a part of the categories.
    Images that are missing are named before training, not when their turn comes.
    """

    def load_data_list(self) -> list[dict]:
        """The images with their annotations.

        Raises:
            ValueError: an annotation's category is not in the file, ``classes`` are not a part
                of its categories, in its order, or an image is not on the disk.
        """
        self.categories: dict[int, dict] = {}
        samples = super().load_data_list()
        if samples:
            self.check_classes()
        if self.backend_args is None:
            self.check_images([sample['img_path'] for sample in samples])
        return samples

    def check_images(self, paths: list[str]) -> None:
        """Look for all images of the file, a folder at a time."""
        folders = {os.path.dirname(path) for path in paths}
        there = {os.path.join(folder, name) for folder in folders if os.path.isdir(folder)
                 for name in os.listdir(folder)}
        # Listing is fast; what it misses may only be written in another way ('a//b', 'a/../b').
        missing = [path for path in paths if path not in there and not os.path.exists(path)]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(paths)} images in '{self.ann_file}' are not on the disk, "
                f"the first is '{missing[0]}': correct data_root or data_prefix, or take them out "
                'of the file')

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict | list[dict]:
        """One image; its annotations must be of categories in the file."""
        self.categories = self.coco.cats  # mmdet deletes coco when it has read all images
        for annotation in raw_data_info['raw_ann_info']:
            if annotation['category_id'] not in self.categories:
                raise ValueError(
                    f"annotation {annotation['id']} of the image "
                    f"'{raw_data_info['raw_img_info']['file_name']}' in '{self.ann_file}' has the "
                    f"category_id {annotation['category_id']}, which is not among the file's "
                    f'categories {shorten(map(str, self.categories), 10)}: correct the '
                    'annotation, or add the category')
        return super().parse_data_info(raw_data_info)

    def check_classes(self) -> None:
        """Compare ``classes`` with the categories of the file."""
        classes = self.metainfo['classes']
        known = [category['name'] for category in self.categories.values()]
        if isinstance(classes, str):
            raise ValueError(f"classes='{classes}' is a string: write metainfo=dict("
                             f"classes=('{classes}', )), with a comma")
        absent = [name for name in classes if name not in known]
        if absent:
            raise ValueError(
                f"{len(absent)} of {len(classes)} classes are not in '{self.ann_file}': "
                f'{shorten(absent, 10)}. Its categories are {shorten(known, 10)}. Set '
                'metainfo=dict(classes=...) of the data set in every loader, and '
                'num_classes of the heads')
        found = [self.categories[key]['name'] for key in self.cat_ids]
        if found != list(classes):
            raise ValueError(
                f"the classes must be in the order of the categories in '{self.ann_file}', each "
                f'once, or predictions get wrong names: classes={tuple(classes)}, but the file has '
                f'{tuple(found)}')
