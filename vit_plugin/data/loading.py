"""Reading of images."""
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmengine.logging import print_log
from PIL import Image

from vit_plugin.errors import UserError
from vit_plugin.registry import TRANSFORMS

# Modes whose conversion to colours is the same in Pillow and OpenCV. Of 16 bits, for example,
# OpenCV keeps the upper 8, and Pillow makes all values over 255 white.
PLAIN_MODES = ('1', 'L', 'P', 'RGB', 'RGBA')


class RefusedImageError(UserError):
    """A whole image that is not read, with the reason."""


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, but a few corrupt images do not end the training.

    Each is named in the log, and the data set takes another image instead; with `SeededDataset`,
    always the same. Decodes with Pillow, as the papers' code does: OpenCV fills what is missing
    of a truncated file with grey and says nothing. OpenCV still turns into colours what Pillow
    gets wrong (16 bits, CMYK, transparency without RGB); so all images come out as by mmcv's
    default. An image that is loaded already, as by the toolkits' inferencers, stays as it is.

    Args:
        max_corrupt: How many corrupt files are passed over in each process of a run (its workers
            together), before it ends. 0, for validation, ends at the first.
        max_pixels: Size of the largest image that Pillow may decode. Pillow's own limit, by
            default 178,956,970, guards against small files that fill the memory.
        **kwargs: Those of mmcv's; ``imdecode_backend`` is ``'pillow'``.

    Raises:
        UserError: an image cannot be decoded, and no more may be passed over; or it has more
            pixels than allowed, or values of 32 bits, which no backend turns into colours.
        FileNotFoundError: the file does not exist.
    """

    def __init__(self, max_corrupt: int = 0, max_pixels: int | None = None,
                 **kwargs: object) -> None:
        kwargs.setdefault('imdecode_backend', 'pillow')
        super().__init__(**kwargs)
        if self.ignore_empty:
            raise UserError('ignore_empty=True hides corrupt images: use max_corrupt instead')
        if self.file_client_args is not None:
            raise UserError('mmcv has replaced file_client_args: use backend_args instead')
        self.max_corrupt = max_corrupt
        self.max_pixels = max_pixels
        # One place for each checksum of a path, shared with the workers. Every worker marks its
        # own before it counts, so none gets lost without a lock.
        self.met = torch.zeros(2**16, dtype=torch.bool).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Read ``results['img_path']``; ``None`` asks the data set for another image.

        A data set that has read the file passes its content as ``img_bytes``.
        """
        if 'img' in results and 'img_path' not in results:
            return results
        path = results['img_path']
        try:
            with pixel_limit(self.max_pixels):
                image = self.load(path, self.read(results))
        except (FileNotFoundError, RefusedImageError):
            raise
        except Image.DecompressionBombError as error:
            raise RefusedImageError(describe_size(path, error)) from error
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, ...
            self.report(path, error)
            return None
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results

    def read(self, results: dict) -> bytes:
        """The content of the file."""
        if 'img_bytes' in results:
            return results.pop('img_bytes')
        return fileio.get(results['img_path'], backend_args=self.backend_args)

    def load(self, path: str, content: bytes) -> np.ndarray:
        """The image in the file (H, W, 3), in BGR."""
        mode = self.mode_for_opencv(content)
        backend = 'cv2' if mode else self.imdecode_backend
        image = None
        if mode != 'F':
            image = mmcv.imfrombytes(content, flag=self.color_type, backend=backend)
        if image is None and mode:
            bits, right = '', 'PNG'
            if mode in ('F', 'I'):
                bits, right = ' (32 bits a channel)', '8 or 16 bits'
            raise RefusedImageError(
                f"the image '{path}' has Pillow's mode '{mode}'{bits}, which OpenCV "
                f'{cv2.__version__} does not turn into colours: convert it to {right}')
        if image is None:
            raise OSError('OpenCV does not read it')
        return image.astype(np.float32) if self.to_float32 else image

    def mode_for_opencv(self, content: bytes) -> str:
        """Pillow's mode of an image that OpenCV is to decode in its place; empty for others."""
        if self.imdecode_backend != 'pillow':
            return ''
        with Image.open(BytesIO(content)) as image:
            is_plain = image.mode in PLAIN_MODES and 'transparency' not in image.info
            if is_plain or self.color_type == 'unchanged':
                return ''
            image.load()  # raises if the file is truncated
            return image.mode

    def report(self, path: str, error: Exception) -> None:
        """Log a corrupt file the first time that it is met, and count it."""
        place = zlib.crc32(str(path).encode()) % len(self.met)
        if self.met[place]:
            return
        self.met[place] = True
        count = int(self.met.sum())
        message = f"cannot decode the image '{path}' ({type(error).__name__}: {error})"
        if count > self.max_corrupt:
            raise UserError(
                f'{message}; {count} corrupt images are more than max_corrupt='
                f'{self.max_corrupt}: repair or remove them, or raise max_corrupt') from error
        print_log(f'{message}: another one is taken instead, {count} of at most '
                  f'{self.max_corrupt}', 'current', logging.WARNING)


@contextmanager
def pixel_limit(limit: float | None) -> Iterator[None]:
    """Replace Pillow's limit, which is a variable of its module; ``None`` leaves it."""
    former = Image.MAX_IMAGE_PIXELS
    if limit is not None:
        Image.MAX_IMAGE_PIXELS = limit / 2  # type: ignore[assignment]  # it raises at twice that
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = former


def describe_size(path: str, error: Image.DecompressionBombError) -> str:
    """Pillow's error in the user's terms, with what helps."""
    pixels, limit = map(int, re.findall(r'\d+', str(error))[:2])
    return (f"the image '{path}' has {pixels:,} pixels, more than the limit of {limit:,} "
            "(Pillow's, or max_pixels), which guards against small files that fill the memory: "
            'make it smaller, or, if you trust it, load it with '
            f"dict(type='vit_plugin.LoadImage', max_pixels={pixels})")


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image: 1 is upright, from 5 on height and width are exchanged."""
    return image.getexif().get(0x0112, 1)  # EXIF 2.3, table 4


def read_size(path: str) -> tuple[int, int]:
    """(width, height) of an image as it is loaded, turned as its EXIF orientation says."""
    with pixel_limit(float('inf')), Image.open(path) as image:
        width, height = image.size
        return (height, width) if orientation(image) >= 5 else (width, height)
