"""COCO's annotation files: entries, categories, images and masks."""
import os
from collections.abc import Sequence
from typing import Any

from vit_plugin.errors import shorten

from .findings import Finding

Entry = dict[str, Any]

# Neither the toolkits nor pycocotools do without these, and nothing tells them.
REQUIRED = {'images': ('id', 'file_name'), 'annotations': ('id', 'image_id', 'category_id'),
            'categories': ('id', 'name')}


def check_required(content: Entry, path: str) -> list[Finding]:
    """Error with the first entry of a file that lacks what nothing else tells."""
    for part, keys in REQUIRED.items():
        if part not in content and part != 'annotations':  # a test set has none
            return [Finding(f"'{path}' has no {part}: it must be in COCO's format, with images, "
                            'annotations and categories')]
        for i, entry in enumerate(content.get(part, ())):
            missing = [key for key in keys if entry.get(key) is None]
            if missing:
                return [Finding(f"{part}[{i}] in '{path}' has no {' and no '.join(missing)}, which "
                                'follows from nothing else: add it')]
    return []


def check_category_ids(content: Entry, path: str) -> list[Finding]:
    """Error with the first annotation of a category that the file does not define."""
    categories = {category['id'] for category in content['categories']}
    for annotation in content.get('annotations', ()):
        if annotation['category_id'] not in categories:
            names = [image['file_name'] for image in content['images']
                     if image['id'] == annotation['image_id']]
            return [Finding(
                f"annotation {annotation['id']} of the image '{', '.join(names)}' in '{path}' has "
                f"the category_id {annotation['category_id']}, which is not among the file's "
                f'categories {shorten(map(str, sorted(categories)), 10)}: correct the annotation, '
                'or add the category')]
    return []


def check_categories(classes: Sequence[str] | str, found: Sequence[str], known: Sequence[str],
                     path: str) -> list[Finding]:
    """Error where a data set's classes are not a part of the file's categories, in its order.

    Args:
        classes: Names of the data set's classes.
        found: Those of the categories among them, in the order of the labels.
        known: Those of all categories.
        path: The file.
    """
    if isinstance(classes, str):
        return [Finding(f"classes='{classes}' is a string: write metainfo=dict("
                        f"classes=('{classes}', )), with a comma")]
    absent = [name for name in classes if name not in known]
    if absent:
        return [Finding(
            f"{len(absent)} of {len(classes)} classes are not in '{path}': {shorten(absent, 10)}. "
            f'Its categories are {shorten(known, 10)}. Set metainfo=dict(classes=...) of the data '
            'set in every loader, and num_classes of the heads')]
    if list(found) != list(classes):
        return [Finding(
            f"the classes must be in the order of the categories in '{path}', each once, or "
            f'predictions get wrong names: classes={tuple(classes)}, but the file has '
            f'{tuple(found)}')]
    return []


def check_images(paths: Sequence[str], path: str) -> list[Finding]:
    """Error where images of a file are not on the disk; lists a folder at a time."""
    folders = {os.path.dirname(image) for image in paths}
    there = {os.path.join(folder, name) for folder in folders if os.path.isdir(folder)
             for name in os.listdir(folder)}
    # Listing is fast; what it misses may only be written in another way ('a//b', 'a/../b').
    missing = [image for image in paths if image not in there and not os.path.exists(image)]
    if not missing:
        return []
    return [Finding(
        f"{len(missing)} of {len(paths)} images in '{path}' are not on the disk, the first is "
        f"'{missing[0]}': correct data_root or data_prefix, or take them out of the file")]


def check_masks(instances: Sequence[Entry], image: str | None) -> list[Finding]:
    """Error where an object of an image, in mmdet's form, has no mask."""
    findings = []
    for instance in instances:
        if 'mask' not in instance:
            x1, y1, x2, y2 = instance['bbox']
            findings.append(Finding(
                f'the object at {[x1, y1, x2 - x1, y2 - y1]} (x, y, width, height) in the image '
                f"'{image}' has an empty segmentation: give it one, remove the annotation, or "
                'train a detector without masks'))
    return findings
