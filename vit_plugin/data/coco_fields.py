"""Fields that entries of a COCO file lack, and that follow from the rest of it."""
from typing import Any

from pycocotools import mask as masks

from vit_plugin.errors import UserError


def fill_in(annotation: dict[str, Any], path: str) -> list[str]:
    """Add ``iscrowd``, ``bbox`` and ``area`` where they are absent or empty.

    An object is no crowd, unless said otherwise. The box is the mask's; the area is the mask's, or
    without one the box's.

    Returns:
        The keys that were added.

    Raises:
        UserError: there is neither a box nor a mask.
    """
    added = []
    mask = annotation.get('segmentation')
    if annotation.get('iscrowd') is None:
        annotation['iscrowd'] = 0
        added.append('iscrowd')
    if not annotation.get('bbox'):
        if not mask:
            raise UserError(f"annotation {annotation['id']} in '{path}' has neither bbox nor "
                            'segmentation: add one, or remove the annotation')
        annotation['bbox'] = box_of(mask)
        added.append('bbox')
    if (annotation.get('area') or 0) <= 0:
        width, height = annotation['bbox'][2:]
        annotation['area'] = (area_of(mask) if mask else 0) or width * height
        added.append('area')
    return added


def box_of(mask: list | dict) -> list[float]:
    """``[x, y, width, height]`` of polygons or run lengths."""
    if isinstance(mask, dict):
        return masks.toBbox(compress(mask)).tolist()
    xs, ys = ([value for polygon in polygons_of(mask) for value in polygon[i::2]] for i in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def area_of(mask: list | dict) -> float:
    """Area of polygons, as in COCO's files, or number of pixels of run lengths."""
    if isinstance(mask, dict):
        return float(masks.area(compress(mask)))
    return sum(map(polygon_area, polygons_of(mask)))


def polygon_area(polygon: list[float]) -> float:
    """Area of ``[x1, y1, x2, y2, ...]`` by the shoelace formula."""
    points = list(zip(polygon[::2], polygon[1::2]))
    return abs(sum(x1 * y2 - x2 * y1
                   for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1]))) / 2


def polygons_of(mask: list) -> list[list[float]]:
    """The polygons of an object; a single one may come without its list."""
    return mask if isinstance(mask[0], (list, tuple)) else [mask]


def compress(mask: dict) -> dict:
    """Run lengths as pycocotools computes with them."""
    return masks.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask
