"""COCO's annotation files: entries, ids, categories, boxes, images and masks."""
import logging
from collections.abc import Sequence

from vit_plugin.errors import shorten
from vit_plugin.files import missing_files

from .findings import Finding

Entry = dict  # of one image, annotation or category; JSON tells no types

# Neither the toolkits nor pycocotools do without these, and nothing tells them.
REQUIRED = {'images': ('id', 'file_name'), 'annotations': ('id', 'image_id', 'category_id'),
            'categories': ('id', 'name')}


def check_required(content: object, path: str) -> list[Finding]:
    """Error with the first entry of a file that lacks what nothing else tells."""
    for part, keys in REQUIRED.items():
        if part == 'annotations' and isinstance(content, dict) and part not in content:
            continue  # a test set has none
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            return [Finding(f"'{path}' has no {part}: it must be in COCO's format, with images, "
                            'annotations and categories')]
        for i, entry in enumerate(content[part]):
            if not isinstance(entry, dict):
                return [Finding(f"{part}[{i}] in '{path}' is {entry!r:.50}, but must have "
                                f'{", ".join(keys)}')]
            missing = [key for key in keys if entry.get(key) is None]
            if missing:
                return [Finding(f"{part}[{i}] in '{path}' has no {' and no '.join(missing)}, which "
                                'follows from nothing else: add it')]
            for key in keys:
                if not isinstance(entry[key], (int, float, str)):
                    return [Finding(f"{part}[{i}] in '{path}' has {key}={entry[key]!r:.50}, which "
                                    'must be a number or a text')]
    return []


def check_content(content: Entry, path: str) -> list[Finding]:
    """The ids, categories and boxes of a file whose entries have what is required."""
    return [*check_ids(content, path), *check_category_ids(content, path),
            *check_boxes(content, path)]


def check_ids(content: Entry, path: str) -> list[Finding]:
    """Error where two images or categories have one id; warning for objects without an image."""
    findings = []
    for part, key in (('images', 'file_name'), ('categories', 'name')):
        names: dict[int | str, str] = {}
        twice = []
        for entry in content[part]:
            other = names.setdefault(entry['id'], entry[key])
            if other != entry[key]:
                twice.append(f"{entry['id']!r} of '{other}' and '{entry[key]}'")
        if twice:
            findings.append(Finding(
                f"{len(twice)} of the {part} in '{path}' have the id of others: "
                f'{shorten(twice)}. Give each its own, and the annotations the right one'))
    images = {image['id'] for image in content['images']}
    stray = [str(annotation['id']) for annotation in content.get('annotations', ())
             if annotation['image_id'] not in images]
    if stray:
        findings.append(Finding(
            f"{len(stray)} annotations in '{path}' are passed over: their image_id is that of no "
            f'image (annotations {shorten(stray)})', logging.WARNING))
    return findings


def check_category_ids(content: Entry, path: str) -> list[Finding]:
    """Error with the first annotation of a category that the file does not define."""
    categories = {category['id'] for category in content['categories']}
    for annotation in content.get('annotations', ()):
        if annotation['category_id'] not in categories:
            names = [image['file_name'] for image in content['images']
                     if image['id'] == annotation['image_id']]
            return [Finding(
                f"annotation {annotation['id']} of the image '{', '.join(names)}' in '{path}' has "
                f"the category_id {annotation['category_id']!r}, which is not among the file's "
                f'categories {shorten(map(repr, categories), 10)}: correct the annotation, '
                'or add the category')]
    return []


def check_boxes(content: Entry, path: str) -> list[Finding]:
    """Error where a box is not four numbers, or all boxes lie in 0 ... 1."""
    boxes = []
    for annotation in content.get('annotations', ()):
        box = annotation.get('bbox')
        if not box:
            continue  # it may follow from the mask
        if not isinstance(box, list) or len(box) != 4 \
                or not all(isinstance(value, (int, float)) for value in box):
            return [Finding(
                f"annotation {annotation['id']} of the image with id {annotation['image_id']!r} in "
                f"'{path}' has bbox={box!r:.80}, which must be four numbers, [x, y, width, height] "
                'in pixels')]
        boxes.append(box)
    if boxes and all(max(box) <= 1 for box in boxes):
        return [Finding(f"all {len(boxes)} boxes in '{path}' lie in 0 ... 1, the first is "
                        f'{boxes[0]}: they must be [x, y, width, height] in pixels')]
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
    """Error where images of a file are not on the disk."""
    missing = missing_files(paths)
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


def check_objects(left: int, dropped: Sequence[str], beyond: Sequence[str], path: str
                  ) -> list[Finding]:
    """Error where no object of a data set's classes is left; warnings for dropped and odd ones.

    Args:
        left: Number of objects that mmdet keeps.
        dropped: The image's name for each object that it drops.
        beyond: The image's name for each box that reaches more than a pixel beyond it.
        path: The file.
    """
    count = left + len(dropped)
    right = 'a bbox must be [x, y, width, height] in pixels'
    if dropped and not left:
        return [Finding(f"none of the {count} objects in '{path}' is left: all lie outside their "
                        f'images or are narrower than a pixel, and {right}')]
    findings = []
    for images, what in ((dropped, 'are passed over, as they lie outside their images or are '
                                   'narrower than a pixel'),
                         (beyond, 'reach more than a pixel beyond their images')):
        if images:
            findings.append(Finding(
                f"{len(images)} of {count} objects in '{path}' {what} "
                f'({shorten(dict.fromkeys(images))}): {right}', logging.WARNING))
    return findings


def check_runs(images: Sequence[str], path: str) -> list[Finding]:
    """Error where images have masks as run lengths of another size, given by their names."""
    if not images:
        return []
    return [Finding(f"{len(images)} masks in '{path}' are run lengths of another size than their "
                    f"images ({shorten(dict.fromkeys(images))}): 'size' must be [height, width]")]


def check_sizes(images: Sequence[tuple[str, tuple[int, int], tuple[int, int]]],
                path: str) -> list[Finding]:
    """Error where ``width`` and ``height`` in a file are not the image's.

    Args:
        images: Path of an image, its (width, height) in the file, and as it is loaded.
        path: The file.
    """
    wrong = [f"'{image}' {stated[0]}x{stated[1]} (the image: {actual[0]}x{actual[1]})"
             for image, stated, actual in images if stated != actual]
    if not wrong:
        return []
    return [Finding(
        f"{len(wrong)} of {len(images)} images have another width and height in '{path}' than on "
        f'the disk: {shorten(wrong)}. They were resized or turned (EXIF) later, so that boxes lie '
        'elsewhere: use the images that were annotated, or correct the file; where the boxes are '
        "right as they are, remove 'width' and 'height', which are then read from the images")]
