"""Instance masks that are resized, flipped, cropped and padded when they are needed, once.

They need mmdet. mmdet's ``BitmapMasks`` writes all masks of an image anew in each of these steps.
"""
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from mmdet.datasets.transforms import LoadAnnotations as StockLoadAnnotations
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks
from pycocotools import mask as coco_mask

from vit_plugin.registry import TRANSFORMS

OUTSIDE = -1  # the source of a row or column of padding
FIFTHS = 5  # pycocotools rounds vertices to fifths of a pixel


class Part(NamedTuple):
    """The part of a mask with all of its pixels: (width, height), uint8, and where it begins."""

    pixels: np.ndarray
    left: int
    top: int


class LazyMasks(BitmapMasks):
    """mmdet's ``BitmapMasks``, made from their source when ``masks`` is read.

    Nearest-neighbour resizing, flips, crops and padding map the pixels of a row to those of one
    row of the source, and likewise columns. So only the lists of these rows and columns change.
    Whoever reads or sets ``masks`` turns the object into a plain ``BitmapMasks``, so that it keeps
    what is changed in them.

    Args:
        parts: One for each object.
        rows: For each row of the masks, that of the source; `OUTSIDE` gives zeros.
        columns: For each column of the masks, that of the source.
    """

    def __init__(self, parts: Sequence[Part], rows: np.ndarray, columns: np.ndarray) -> None:
        self.parts, self.rows, self.columns = list(parts), rows, columns
        self.height, self.width = len(rows), len(columns)

    @property
    def masks(self) -> np.ndarray:
        """The masks (N, H, W), uint8."""
        masks = np.zeros((len(self.parts), self.height, self.width), np.uint8)
        for mask, part in zip(masks, self.parts):
            (y, rows), (x, columns) = self.locate(part)
            if len(rows) and len(columns):
                # Rows are copied as a whole, columns one by one: that is why parts are transposed.
                found = cv2.transpose(part.pixels.take(columns, 0))
                mask[y:y + len(rows), x:x + len(columns)] = found.take(rows, 0)
        self.masks = masks
        return masks

    @masks.setter
    def masks(self, masks: np.ndarray) -> None:
        del self.parts, self.rows, self.columns
        self.__class__ = BitmapMasks
        self.masks = masks

    def locate(self, part: Part) -> list[tuple[int, np.ndarray]]:
        """For rows and columns: the first one that shows the part, and those of the part shown."""
        found = []
        for source, start, size in ((self.rows, part.top, part.pixels.shape[1]),
                                    (self.columns, part.left, part.pixels.shape[0])):
            shown = np.flatnonzero((source >= start) & (source < start + size))
            first = shown[0] if len(shown) else 0
            found.append((first, source[first:first + len(shown)] - start))
        return found

    def get_bboxes(self, dst_type: str | type = 'hbox') -> BaseBoxes:
        """The boxes around the masks, zeros for empty ones."""
        if get_box_type(dst_type)[1] is not HorizontalBoxes:
            return super().get_bboxes(dst_type)
        boxes = np.zeros((len(self), 4), np.float32)
        for box, part in zip(boxes, self.parts):
            (y, rows), (x, columns) = self.locate(part)
            if len(rows) == 0 or len(columns) == 0:
                continue
            in_row = part.pixels[np.unique(columns)].max(0)[rows].nonzero()[0]
            in_column = part.pixels[:, np.unique(rows)].max(1)[columns].nonzero()[0]
            if len(in_row):
                box[:] = (x + in_column[0], y + in_row[0],
                          x + in_column[-1] + 1, y + in_row[-1] + 1)
        return HorizontalBoxes(boxes)

    def resize(self, out_shape: tuple[int, int], interpolation: str = 'nearest') -> BitmapMasks:
        """To (height, width)."""
        if interpolation != 'nearest':
            return super().resize(out_shape, interpolation)
        rows, columns = map(resize_nearest, (self.rows, self.columns), out_shape)
        return LazyMasks(self.parts, rows, columns)

    def rescale(self, scale: float | tuple[int, int], interpolation: str = 'nearest'
                ) -> BitmapMasks:
        """Resize by a factor, or to the largest size within (width, height)."""
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width), interpolation)

    def flip(self, flip_direction: str = 'horizontal') -> BitmapMasks:
        """Flip: ``'horizontal'``, ``'vertical'`` or ``'diagonal'``, which is both."""
        rows = self.rows if flip_direction == 'horizontal' else self.rows[::-1]
        columns = self.columns if flip_direction == 'vertical' else self.columns[::-1]
        return LazyMasks(self.parts, rows, columns)

    def crop(self, bbox: np.ndarray) -> BitmapMasks:
        """To the part of the box (x1, y1, x2, y2) within the masks, one pixel at least."""
        x1, x2 = np.clip(bbox[0::2], 0, self.width)
        y1, y2 = np.clip(bbox[1::2], 0, self.height)
        return LazyMasks(self.parts, self.rows[y1:max(y2, y1 + 1)],
                         self.columns[x1:max(x2, x1 + 1)])

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """On the right and at the bottom, to (height, width)."""
        if pad_val:
            return super().pad(out_shape, pad_val)
        rows, columns = map(pad_end, (self.rows, self.columns), out_shape)
        return LazyMasks(self.parts, rows, columns)

    def __getitem__(self, index: np.ndarray | slice | int) -> BitmapMasks:
        """Some of the masks."""
        chosen = np.arange(len(self))[index].reshape(-1)
        return LazyMasks([self.parts[i] for i in chosen], self.rows, self.columns)

    def __len__(self) -> int:
        return len(self.parts)

    @classmethod
    def cat(cls, masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """All of the masks as one."""
        return BitmapMasks.cat(masks)


def resize_nearest(source: np.ndarray, size: int) -> np.ndarray:
    """A list of rows or columns for so many, as OpenCV resizes an image."""
    return mmcv.imresize(source.reshape(1, -1), (size, 1), interpolation='nearest')[0]


def pad_end(source: np.ndarray, size: int) -> np.ndarray:
    """A list of rows or columns, padded to so many."""
    return np.pad(source, (0, max(0, size - len(source))), constant_values=OUTSIDE)


@TRANSFORMS.register_module()
class LoadAnnotations(StockLoadAnnotations):
    """mmdet's ``LoadAnnotations``, with `LazyMasks` in place of ``BitmapMasks``."""

    def _load_masks(self, results: dict) -> None:
        if not self.poly2mask:
            return super()._load_masks(results)
        height, width = results['ori_shape']
        parts = [self.rasterise(mask, height, width) for mask in self._process_masks(results)]
        results['gt_masks'] = LazyMasks(parts, np.arange(height, dtype=np.int32),
                                        np.arange(width, dtype=np.int32))

    def rasterise(self, mask: list | dict, height: int, width: int) -> Part:
        """The mask of polygons or of runs in an image of this size."""
        if isinstance(mask, list):
            fifths = [np.trunc(FIFTHS * np.reshape(polygon, (-1, 2)).astype(float) + 0.5)
                      for polygon in mask]
            left, top = np.min([points.min(0) for points in fifths], 0) // FIFTHS
            right, bottom = np.max([points.max(0) for points in fifths], 0) // FIFTHS + 1
            if min(left, top) >= 0 and right <= width and bottom <= height:
                moved = [(points / FIFTHS - (left, top)).ravel().tolist() for points in fifths]
                runs = coco_mask.frPyObjects(moved, int(bottom - top), int(right - left))
                return Part(coco_mask.decode(coco_mask.merge(runs)).T, int(left), int(top))
        pixels = self._poly2mask(mask, height, width)
        x, y, w, h = cv2.boundingRect(pixels)
        return Part(pixels.T[x:x + w, y:y + h].copy(), x, y)
