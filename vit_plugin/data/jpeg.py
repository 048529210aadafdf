"""Decoding of a part of a JPEG file, with the pixels that the whole would have there.

The frame header names the number of rows, and a decoder ends after them. So the rows below the
part are not decoded if the header says that there are none. simplejpeg (libjpeg-turbo) is asked,
which can be told that what follows is no error; without it OpenCV decodes the whole image, slower
and to the same pixels.
"""
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from vit_plugin.errors import UserError

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

EXIF_ORIENTATION = 0x0112
REDUCTIONS = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
              8: cv2.IMREAD_REDUCED_COLOR_8}


class Frame(NamedTuple):
    """The header of a JPEG file; ``offset`` is the place of the number of rows."""

    height: int
    width: int
    offset: int
    sequential: bool
    row_block: int


def read_frame(data: bytes) -> Frame | None:
    """The frame header (ITU-T T.81, B.2.2), or ``None`` if the file needs a general decoder.

    That is the case for other formats, CMYK, 12 bits, an EXIF orientation, and damaged headers.
    """
    if data[:3] != b'\xff\xd8\xff':
        return None
    place, frame = 2, None
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, size = data[place + 1], int.from_bytes(data[place + 2:place + 4], 'big')
        segment = data[place + 4:place + 2 + size]
        if marker in (0xC0, 0xC1, 0xC2):  # sequential, extended sequential, progressive
            if len(segment) < 6 or len(segment) != 6 + 3 * segment[5]:
                return None
            bits, components = segment[0], segment[5]
            if bits != 8 or components not in (1, 3):
                return None
            frame = Frame(int.from_bytes(segment[1:3], 'big'), int.from_bytes(segment[3:5], 'big'),
                          place + 5, marker != 0xC2, 8 * max(v & 15 for v in segment[7::3]))
        elif marker == 0xE1 and segment[:4] == b'Exif':
            if orientation(segment) != 1:
                return None
        elif marker == 0xDA:  # the image itself; behind it must be the marker of its end
            whole = data.rfind(b'\xff\xd9', place) >= 0
            return frame if whole and frame and frame.height and frame.width else None
        place += 2 + size
    return None


def orientation(segment: bytes) -> int | None:
    """The EXIF orientation, 1 where none is given; ``None`` if it cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises SyntaxError, struct.error, ... for damaged tags
        return None


def decode(data: bytes, frame: Frame, rows: int, reduction: int = 1) -> np.ndarray:
    """The first ``rows`` rows or more, (h, w, 3) BGR uint8, of an image.

    Args:
        data: The file.
        frame: What `read_frame` found.
        rows: How many rows of the whole image are needed.
        reduction: 1, 2, 4 or 8. Larger than 1, the decoder computes averages of as many pixels
            squared instead of the pixels (DCT scaling).

    Raises:
        ValueError: the file cannot be decoded.
    """
    if simplejpeg is None:
        flag = REDUCTIONS.get(reduction, cv2.IMREAD_COLOR)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if image is None:
            raise UserError('OpenCV cannot decode it')
        return image
    height = frame.height
    if frame.sequential:
        # One block more: the last row of chroma samples is interpolated with the next one.
        height = min(height, (rows // frame.row_block + 2) * frame.row_block)
    if height < frame.height:
        shortened = bytearray(data)
        shortened[frame.offset:frame.offset + 2] = height.to_bytes(2, 'big')
        data = bytes(shortened)
    return simplejpeg.decode_jpeg(
        data, 'BGR', min_height=-(-height // reduction), min_width=-(-frame.width // reduction),
        min_factor=reduction, strict=False)
