"""COCO data sets that are checked before training; they need mmdet."""
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
    """

    def load_data_list(self) -> list[dict]:
        """The images with their annotations.

        Raises:
            ValueError: an annotation's category is not in the file, or ``classes`` are not a part
                of its categories, in its order.
        """
        self.categories: dict[int, dict] = {}
        samples = super().load_data_list()
        if samples:
            self.check_classes()
        return samples

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
