"""Reading of images."""
import logging
import zlib

import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log

from vit_plugin.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, but a few corrupt images do not end the training.

    Each is named in the log, and the data set takes another image instead; with `SeededDataset`,
    always the same. Decodes with Pillow, as the papers' code does: OpenCV fills what is missing
    of a truncated file with grey and says nothing.

    Args:
        max_corrupt: How many corrupt files are passed over in each process of a run (its workers
            together), before it ends. 0, for validation, ends at the first.
        **kwargs: Those of mmcv's; ``imdecode_backend`` is ``'pillow'``.

    Raises:
        ValueError: an image cannot be decoded, and no more may be passed over.
        FileNotFoundError: the file does not exist.
    """

    def __init__(self, max_corrupt: int = 0, **kwargs: object) -> None:
        kwargs.setdefault('imdecode_backend', 'pillow')
        super().__init__(**kwargs)
        if self.ignore_empty:
            raise ValueError('ignore_empty=True hides corrupt images: use max_corrupt instead')
        self.max_corrupt = max_corrupt
        # One place for each checksum of a path, shared with the workers. Every worker marks its
        # own before it counts, so none gets lost without a lock.
        self.met = torch.zeros(2**16, dtype=torch.bool).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Read ``results['img_path']``; ``None`` asks the data set for another image."""
        try:
            return super().transform(results)
        except FileNotFoundError:
            raise
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, ...
            self.report(results['img_path'], error)
            return None

    def report(self, path: str, error: Exception) -> None:
        """Log a corrupt file the first time that it is met, and count it."""
        place = zlib.crc32(str(path).encode()) % len(self.met)
        if self.met[place]:
            return
        self.met[place] = True
        count = int(self.met.sum())
        message = f"cannot decode the image '{path}' ({type(error).__name__}: {error})"
        if count > self.max_corrupt:
            raise ValueError(
                f'{message}; {count} corrupt images are more than max_corrupt='
                f'{self.max_corrupt}: repair or remove them, or raise max_corrupt') from error
        print_log(f'{message}: another one is taken instead, {count} of at most '
                  f'{self.max_corrupt}', 'current', logging.WARNING)
