"""A COCO file, read, checked, corrected and completed; needs mmdet."""
import json
import logging
from collections import Counter
from pathlib import Path

from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from vit_plugin.checks.coco import check_content, check_required
from vit_plugin.checks.findings import raise_and_log, raise_errors
from vit_plugin.errors import UserError

from .coco_fields import fill_in, repair


class CheckedCOCO(COCO):
    """pycocotools' ``COCO`` of a file that is checked, corrected and completed."""

    def __init__(self, annotation_file: str | None = None) -> None:
        super().__init__()
        if annotation_file is not None:
            self.path = annotation_file
            self.dataset = read_json(annotation_file)
            self.createIndex()
            self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def createIndex(self) -> None:  # noqa: N802 (pycocotools' name)
        """Index the content.

        Raises:
            UserError: it is no COCO file, or its entries contradict each other.
        """
        raise_errors(check_required(self.dataset, self.path))
        repairs = repair(self.dataset)
        raise_and_log(check_content(self.dataset, self.path))
        added: Counter[str] = Counter()
        for annotation in self.dataset.get('annotations', ()):
            added.update(fill_in(annotation, self.path))
        if repairs:
            listed = ', '.join(f'{what} ({count})' for what, count in repairs.items())
            print_log(f"'{self.path}': corrected: {listed}", 'current', logging.WARNING)
        log_filled_in(self.path, added, 'annotations')
        super().createIndex()


def read_json(path: str) -> dict:
    """The content of a file in UTF-8 (with or without a byte-order mark), UTF-16 or UTF-32.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise UserError(f"'{path}' is no JSON, or truncated ({error}): COCO's annotation files "
                        'are') from error


def log_filled_in(path: str, added: Counter[str], part: str) -> None:
    """Log which keys were added, if any were."""
    if added:
        print_log(f"'{path}': filled in what it lacks: {', '.join(added)} of "
                  f'{max(added.values())} {part}', 'current')
