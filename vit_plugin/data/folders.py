"""Folders of images that are checked before training."""
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
from mmengine.logging import print_log
from mmpretrain import datasets
from PIL import Image

from vit_plugin.checks.annotation_lists import check_annotation_list
from vit_plugin.checks.findings import raise_and_log, raise_errors
from vit_plugin.checks.folders import (
    check_class_count,
    check_empty_classes,
    check_folder,
    check_images,
    describe_passed_over,
)
from vit_plugin.checks.samples import check_class_labels
from vit_plugin.errors import UserError
from vit_plugin.files import list_files
from vit_plugin.registry import DATASETS

from .loading import describe_size

# What Pillow reads, as far as it was built with it; mmpretrain's are seven of these.
EXTENSIONS = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.apng', '.ppm', '.pgm', '.pbm', '.pnm', '.bmp',
    '.dib', '.tif', '.tiff', '.webp', '.gif', '.avif', '.jp2', '.j2k', '.tga')


class CheckedFolder:
    """Makes a data set of mmpretrain refuse a missing folder and classes without images.

    Reads the images of all `EXTENSIONS` that Pillow knows here, in either case, and names other
    files in the log.
    """

    img_prefix: str
    ann_file: str
    with_label: bool
    extensions: tuple[str, ...]
    is_valid_file: Callable[[str], bool]
    CLASSES: Sequence[str] | None
    _metainfo: dict

    def __init__(self, *args: object, extensions: Sequence[str] | None = None,
                 **kwargs: object) -> None:
        if extensions is None:
            known = Image.registered_extensions()
            extensions = [name for name in EXTENSIONS if name in known]
        super().__init__(*args, extensions=extensions, **kwargs)  # type: ignore[call-arg]

    def load_data_list(self) -> list[dict]:
        """The samples.

        Raises:
            UserError: the folder of images does not exist, holds no classes, a class has no image,
                or the annotation file has other lines or labels than it should.
        """
        folder = Path(self.img_prefix)
        raise_errors(check_folder(folder))
        print_log(f"'{folder}': reading the list of images", 'current')
        self.others = ''
        if self.ann_file:
            raise_errors(check_annotation_list(self.ann_file, self.with_label))
        samples = super().load_data_list()  # type: ignore[misc]
        print_log(f"'{folder}': {len(samples)} images", 'current')
        if samples and 'gt_label' in samples[0] and self.CLASSES is not None:
            names = getattr(self, 'folder_to_idx', None) or self.CLASSES
            raise_errors(check_class_labels(samples, len(names)))
            raise_errors(check_empty_classes(folder, samples, list(names), self.others))
        return samples

    def _find_samples(self) -> list:
        """The images in mmpretrain's order, with the numbers of their folders as labels."""
        folder = Path(self.img_prefix)
        found = list_files(folder)
        images = [file for file in found.files if self.is_read(file)]
        others = [file for file in found.files if not self.is_read(file)]
        self.others = describe_passed_over(others, found.odd, found.hidden, self.extensions)
        raise_and_log(check_images(folder, images, self.others))
        if not self.with_label:
            return images
        names = sorted(path.name for path in folder.iterdir()
                       if path.is_dir() and not path.name.startswith('.'))
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(names)
        raise_errors(check_class_count(folder, names, self.CLASSES))
        self.folder_to_idx = {name: i for i, name in enumerate(names)}
        parts = sorted(image.partition(os.sep) for image in images)
        return [(''.join(part), self.folder_to_idx[part[0]]) for part in parts]

    def is_read(self, file: str) -> bool:
        """True for an image in its place."""
        return self.is_valid_file(file) and (not self.with_label or os.sep in file)

    def prepare_data(self, idx: int) -> dict | None:
        """One sample through the pipeline; what cannot be decoded is named in the error."""
        try:
            return super().prepare_data(idx)  # type: ignore[misc]
        except (OSError, SyntaxError, Image.DecompressionBombError, AssertionError,
                cv2.error) as error:
            if not is_of_decoder(error):
                raise
            path = self.get_data_info(idx)['img_path']  # type: ignore[attr-defined]
            if isinstance(error, Image.DecompressionBombError):
                raise UserError(describe_size(path, error)) from error
            raise UserError(f"cannot decode the image '{path}' "
                            f'({type(error).__name__}: {error})') from error


def is_of_decoder(error: Exception) -> bool:
    """True for an error of Pillow, OpenCV or mmcv about the content of an image."""
    if isinstance(error, (AssertionError, cv2.error)):  # of mmcv, and for too many pixels
        return 'failed to load image' in str(error) or 'IMAGE_PIXELS' in str(error)
    return not getattr(error, 'filename', None)  # Python's have one


@DATASETS.register_module()
class ImageNet(CheckedFolder, datasets.ImageNet):
    """mmpretrain's ``ImageNet``: ``<split>/<wnid>/`` or ``meta/<split>.txt``, checked."""


@DATASETS.register_module()
class ImageFolder(CheckedFolder, datasets.CustomDataset):
    """mmpretrain's ``CustomDataset``: ``<data_prefix>/<class>/`` or an ``ann_file``, checked."""
