"""Corrections of a COCO file that have one right reading, and fields that follow from others."""
import math
from collections import Counter
from typing import Any

from pycocotools import mask as masks

from vit_plugin.errors import UserError

Entry = dict


def repair(content: Entry) -> Counter[str]:
    """Correct in place what has one right reading; the corrections, counted.

    Numbers written as text, ids that are text in some places and numbers in others, annotation ids
    that pycocotools misreads (0 is "no match" to it) or that come twice, polygons without their
    list or with fewer than three points, boxes of negative size or NaN beside a mask. Annotations
    of such boxes without a mask are removed.
    """
    notes: Counter[str] = Counter()
    annotations = content.get('annotations', [])
    for image in content['images']:
        parse_numbers(image, ('height', 'width'), notes)
    unify_ids(content['images'], annotations, 'image_id', notes)
    unify_ids(content['categories'], annotations, 'category_id', notes)
    kept = [annotation for annotation in annotations if repair_object(annotation, notes)]
    if len(kept) < len(annotations):
        content['annotations'] = kept
    if not all(type(annotation['id']) is int and annotation['id'] for annotation in kept) \
            or len({annotation['id'] for annotation in kept}) < len(kept):
        for i, annotation in enumerate(kept):
            annotation['id'] = i + 1
        notes['annotation ids, numbered anew from 1'] = len(kept)
    return notes


def parse_numbers(entry: Entry, keys: tuple[str, ...], notes: Counter[str]) -> None:
    """Replace text by the number that it is."""
    for key in keys:
        if isinstance(entry.get(key), str):
            entry[key] = number(entry[key])
            notes['numbers written as text'] += 1


def number(text: object) -> object:
    """The number in a text; None if it is empty, and what is no number as it is."""
    if not isinstance(text, str):
        return text
    try:
        value = float(text) if text.strip() else None
    except ValueError:
        return text
    return int(value) if value is not None and value.is_integer() else value


def unify_ids(entries: list[Entry], annotations: list[Entry], key: str,
              notes: Counter[str]) -> None:
    """Make all ids numbers where some are, in the entries and in the annotations' ``key``."""
    kinds = {type(entry['id']) for entry in entries}
    kinds |= {type(annotation[key]) for annotation in annotations}
    if str not in kinds or len(kinds) == 1:
        return
    for part, name in ((entries, 'id'), (annotations, key)):
        for entry in part:
            if isinstance(entry[name], str):
                entry[name] = number(entry[name])
                notes['ids written as text'] += 1


def repair_object(annotation: Entry, notes: Counter[str]) -> bool:
    """Correct the numbers, polygons and box of an annotation; False if nothing tells its box."""
    parse_numbers(annotation, ('area', 'iscrowd'), notes)
    mask, box = annotation.get('segmentation'), annotation.get('bbox')
    if isinstance(mask, list) and mask:
        annotation['segmentation'] = mask = repair_polygons(mask, notes)
    if not isinstance(box, list) or len(box) != 4:
        return True  # absent, or for the checks
    if any(isinstance(value, str) for value in box):
        annotation['bbox'] = box = [number(value) for value in box]
        notes['numbers written as text'] += 1
    if not all(isinstance(value, (int, float)) for value in box):
        return True
    if all(map(math.isfinite, box)) and box[2] >= 0 and box[3] >= 0:
        return True
    annotation['bbox'] = None
    if is_mask(mask):
        notes['boxes of negative size or NaN, taken from the mask'] += 1
        return True
    notes['objects removed, with a box of negative size or NaN and no mask'] += 1
    return False


def repair_polygons(mask: list, notes: Counter[str]) -> list[list[float]]:
    """The polygons of a mask that have three points or more; all of them if none has."""
    if not isinstance(mask[0], (list, tuple)):
        mask = [mask]
        notes['polygons without their list'] += 1
    if isinstance(mask[0], (list, tuple)) and mask[0] and isinstance(mask[0][0], str):
        mask = [list(map(number, polygon)) for polygon in mask]
        notes['numbers written as text'] += 1
    whole = [polygon for polygon in mask if is_polygon(polygon)]
    if not whole:
        notes['masks without three points, whose objects are ignored where masks are learnt'] += 1
        return mask
    if len(whole) < len(mask):
        notes['polygons removed, without three points'] += len(mask) - len(whole)
    return whole


def is_polygon(points: object) -> bool:
    """True for x and y of three points or more."""
    return isinstance(points, (list, tuple)) and len(points) >= 6 and len(points) % 2 == 0


def is_mask(mask: object) -> bool:
    """True for run lengths, and polygons with an area to fill."""
    if isinstance(mask, dict):
        return {'counts', 'size'} <= mask.keys()
    return isinstance(mask, list) and any(map(is_polygon, mask))


def fill_in(annotation: Entry, path: str) -> list[str]:
    """Add ``iscrowd``, ``bbox`` and ``area`` where they are absent or empty.

    An object is no crowd, unless said otherwise. The box is the mask's; the area is the mask's, or
    without one the box's.

    Returns:
        The keys that were added.

    Raises:
        UserError: there is neither a box nor a mask.
    """
    added = []
    mask: Any = annotation.get('segmentation')
    if not is_mask(mask):
        mask = None
    if annotation.get('iscrowd') is None:
        annotation['iscrowd'] = 0
        added.append('iscrowd')
    if not annotation.get('bbox'):
        if mask is None:
            raise UserError(f"annotation {annotation['id']} in '{path}' has neither bbox nor "
                            'segmentation: add one, or remove the annotation')
        annotation['bbox'] = box_of(mask)
        added.append('bbox')
    if not (annotation.get('area') or 0) > 0:  # NaN neither
        width, height = annotation['bbox'][2:]
        annotation['area'] = (area_of(mask) if mask else 0) or width * height
        added.append('area')
    return added


def box_of(mask: list | dict) -> list[float]:
    """``[x, y, width, height]`` of polygons or run lengths."""
    if isinstance(mask, dict):
        return masks.toBbox(compress(mask)).tolist()
    xs: list[float] = []
    ys: list[float] = []
    for polygon in mask:
        xs += polygon[::2]
        ys += polygon[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def area_of(mask: list | dict) -> float:
    """Area of polygons, as in COCO's files, or number of pixels of run lengths."""
    if isinstance(mask, dict):
        return float(masks.area(compress(mask)))
    return sum(map(polygon_area, mask))


def polygon_area(polygon: list[float]) -> float:
    """Area of ``[x1, y1, x2, y2, ...]`` by the shoelace formula."""
    points = list(zip(polygon[::2], polygon[1::2]))
    following = points[1:] + points[:1]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, following))) / 2


def compress(mask: dict) -> dict:
    """Run lengths as pycocotools computes with them."""
    return masks.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask
