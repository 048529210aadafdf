"""One label map of semantic segmentation: what its file stores, and what mmseg reads."""
import os
import re
from collections.abc import Collection

import numpy as np
from PIL import Image, UnidentifiedImageError

from .findings import Finding

# Usual for pixels without a label in files of more than 8 bits; read as 255, which means the same.
NO_LABEL = (-1, 65535)


def check_depth(path: str) -> list[Finding]:
    """Error where mmseg's ``LoadAnnotations`` reads other values than a label map's file holds.

    Of more than 8 bits it keeps the lower ones, and Pillow stretches grey values of 2 and 4 bits
    over 0 ... 255. Files that are not on this machine's disk, or that Pillow does not know, pass.
    """
    if not os.path.isfile(path):
        return []
    try:
        image = Image.open(path)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return []  # then another backend reads it
    with image:
        few = re.match(r'L;([24])', rawmode_of(image))
        if few:
            bits = int(few[1])
            read = np.unique(np.asarray(image))
            stored = read // (255 // (2**bits - 1))
            is_changed = (stored != read) & (read != 255)
        elif image.mode == 'F' or image.mode.startswith('I'):
            bits = 16 if ';' in image.mode else 32
            stored = np.unique(np.asarray(image))
            with np.errstate(invalid='ignore'):  # of NaN
                read = stored.astype(np.uint8)
            is_changed = (stored != read) & ~np.isin(stored, NO_LABEL)
        else:
            return []
    if not is_changed.any():
        return []
    return [Finding(
        f"the label map '{path}' holds the value(s) {stored[is_changed][:10].tolist()} in {bits} "
        f'bits, which are read as {read[is_changed][:10].tolist()}: save it as a grey image of 8 '
        'bits, with 255 for pixels without a label')]


def rawmode_of(image: Image.Image) -> str:
    """Packing of the pixels in the file, in Pillow's words; empty if it does not say."""
    tiles = getattr(image, 'tile', None)
    arguments = tiles[0][3] if tiles else ''
    if isinstance(arguments, tuple):
        arguments = arguments[0]
    return str(arguments)


def check_size(labels: np.ndarray, path: str, image: str | None,
               size: tuple[int, int] | None) -> list[Finding]:
    """Error where a label map has several channels, or another (height, width) than its image.

    Args:
        labels: The map as it was read.
        path: Its file.
        image: File of the image.
        size: The image's; None if it is not known.
    """
    if labels.ndim != 2:
        return [Finding(f"the label map '{path}' is a colour image, of shape {labels.shape}: it "
                        'must have one channel, whose values are the labels')]
    if size is not None and labels.shape != tuple(size):
        return [Finding(f"the label map '{path}' has {labels.shape} pixels (height, width), but "
                        f"its image '{image}' has {size}: they must be the same")]
    return []


def check_range(labels: np.ndarray, path: str, num_classes: int, ignored: Collection[int],
                reduce_zero_label: bool) -> list[Finding]:
    """Error where a map, as it was read, has labels that are no class.

    Args:
        labels: The map, or its values.
        path: Its file.
        num_classes: Labels are 0 ... num_classes - 1; 0 if that is not known.
        ignored: These are allowed, too.
        reduce_zero_label: True if 1 was taken off the labels.
    """
    wrong = labels[labels >= num_classes]
    wrong = wrong[~np.isin(wrong, list(ignored))]
    if not num_classes or not wrong.size:
        return []
    others = ', '.join(map(str, sorted(ignored)))
    jpeg = '. It is a JPEG, which changes values: save it as PNG' if is_jpeg(path) else ''
    shift = int(reduce_zero_label)
    found = (np.unique(wrong).astype(int) + shift).tolist()
    nothing = ', with 0 for pixels without one' if shift else ''
    return [Finding(
        f"the label map '{path}' has the label(s) {found}, but the model has {num_classes} "
        f'classes: {shift} ... {num_classes - 1 + shift}{nothing}, or {others}{jpeg}')]


def stored_values(path: str) -> list[int]:
    """The values in the file of a label map, at most ten of them; empty if Pillow cannot tell."""
    try:
        with Image.open(path) as image:
            return np.unique(np.asarray(image))[:10].tolist()
    except (OSError, Image.DecompressionBombError):
        return []


def is_jpeg(path: str) -> bool:
    """True for a JPEG file, whatever its name."""
    if not os.path.isfile(path):
        return False
    with open(path, 'rb') as file:
        return file.read(3) == b'\xff\xd8\xff'
