"""Label maps as their files store them, before they become 8 bits."""
import os
import re

import numpy as np
from PIL import Image, UnidentifiedImageError

from vit_plugin.errors import UserError

# Usual for pixels without a label in files of more than 8 bits; read as 255, which means the same.
NO_LABEL = (-1, 65535)


def check_depth(path: str) -> None:
    """Refuse a label map whose values mmseg's ``LoadAnnotations`` changes, with both of them.

    Of more than 8 bits it keeps the lower ones, and Pillow stretches grey values of 2 and 4 bits
    over 0 ... 255. Files that are not on this machine's disk, or that Pillow does not know, pass.

    Raises:
        ValueError: the file holds values that are read as others.
    """
    if not os.path.isfile(path):
        return
    try:
        image = Image.open(path)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return  # then another backend reads it
    with image:
        few = re.match(r'L;([24])', rawmode_of(image))
        if few:
            bits = int(few[1])
            read = np.unique(np.asarray(image))
            stored = read // (255 // (2**bits - 1))
        elif image.mode == 'F' or image.mode.startswith('I'):
            bits = 16 if ';' in image.mode else 32
            stored = np.unique(np.asarray(image))
            with np.errstate(invalid='ignore'):  # of NaN
                read = stored.astype(np.uint8)
        else:
            return
    wrong = (stored != read) & (read != 255 if few else ~np.isin(stored, NO_LABEL))
    if wrong.any():
        raise UserError(
            f"the label map '{path}' holds the value(s) {stored[wrong][:10].tolist()} in {bits} "
            f'bits, which are read as {read[wrong][:10].tolist()}: save it as a grey image of 8 '
            'bits, with 255 for pixels without a label')


def rawmode_of(image: Image.Image) -> str:
    """How the pixels are packed in the file, in Pillow's words; empty if it does not say."""
    tiles = getattr(image, 'tile', None)
    arguments = tiles[0][3] if tiles else ''
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def stored_values(path: str) -> list:
    """The values in the file of a label map, at most ten of them; empty if Pillow cannot tell."""
    try:
        with Image.open(path) as image:
            return np.unique(np.asarray(image))[:10].tolist()
    except (OSError, Image.DecompressionBombError):
        return []
