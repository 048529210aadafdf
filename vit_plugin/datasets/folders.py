"""Folders of images that are checked before training."""
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmpretrain import datasets
from PIL import Image

from vit_plugin.datasets.loading import describe_size
from vit_plugin.errors import UserError
from vit_plugin.files import visible_files
from vit_plugin.registry import DATASETS
from vit_plugin.wording import count_passed_over

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
    CLASSES: Any

    def __init__(self, *args: Any, extensions: Sequence[str] | None = None, **kwargs: Any) -> None:
        if extensions is None:
            known = Image.registered_extensions()
            extensions = [name for name in EXTENSIONS if name in known]
        super().__init__(*args, extensions=extensions, **kwargs)  # type: ignore[call-arg]

    def load_data_list(self) -> list[dict]:
        """The samples.

        Raises:
            FileNotFoundError: the folder of images does not exist.
            ValueError: it holds no classes, or a class has no image.
        """
        folder = Path(self.img_prefix)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"there is no folder '{folder}': set data_root so that it holds "
                f"{folder.name}/<class>/<image>, e.g. with `vit-plugin train --data-root`")
        if not any(folder.iterdir()):
            raise UserError(f"the folder '{folder}' is empty")
        print_log(f"'{folder}': reading the list of images", 'current')
        self.has_others = False
        try:
            samples = super().load_data_list()  # type: ignore[misc]
        except RuntimeError as error:
            if not str(error).startswith('Found 0 files'):
                raise
            raise UserError(f"'{folder}' holds no images; {self.passed_over(folder)}") from error
        print_log(f"'{folder}': {len(samples)} images", 'current')
        others = self.passed_over(folder)
        if others:
            print_log(f"'{folder}': {others}", 'current', logging.WARNING)
        if samples and 'gt_label' in samples[0] and self.CLASSES is not None:
            present = {sample['gt_label'] for sample in samples}
            names = getattr(self, 'folder_to_idx', None) or self.CLASSES
            empty = [str(name) for i, name in enumerate(names) if i not in present]
            if empty:
                raise UserError(
                    f"{len(empty)} of {len(names)} classes in '{folder}' have no images: "
                    f"{', '.join(empty[:10])}{' ...' if len(empty) > 10 else ''}"
                    f"{others and '; '}{others}")
        return samples

    def is_valid_file(self, filename: str) -> bool:
        """Whether the file is read; mmpretrain asks for each that is in the folder of a class."""
        is_valid = super().is_valid_file(filename)  # type: ignore[misc]
        self.has_others |= not is_valid
        return is_valid

    def passed_over(self, folder: Path) -> str:
        """Count and name the visible files that are not read; empty if there are none."""
        if self.ann_file:
            return ''
        if not self.has_others and not (self.with_label and any(map(Path.is_file,
                                                                    folder.iterdir()))):
            return ''  # without a walk through a large folder
        others = [file for file in visible_files(folder)
                  if not self.is_valid_file(file) or (self.with_label and file == Path(file).name)]
        if not others:
            return ''
        return (f'{count_passed_over(others)}. An image lies in the folder of its class, and ends '
                f'in {", ".join(sorted(self.extensions))}; extensions=(...) of the data set '
                'replaces these endings')

    def prepare_data(self, idx: int) -> Any:
        """One sample through the pipeline; what cannot be decoded is named in the error."""
        try:
            return super().prepare_data(idx)  # type: ignore[misc]
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            if getattr(error, 'filename', None):
                raise  # Python's; Pillow's are without a name
            path = self.get_data_info(idx)['img_path']  # type: ignore[attr-defined]
            if isinstance(error, Image.DecompressionBombError):
                raise UserError(describe_size(path, error)) from error
            raise UserError(f"cannot decode the image '{path}' "
                            f'({type(error).__name__}: {error})') from error


@DATASETS.register_module()
class ImageNet(CheckedFolder, datasets.ImageNet):
    """mmpretrain's ``ImageNet``: ``<split>/<wnid>/`` or ``meta/<split>.txt``, checked."""


@DATASETS.register_module()
class ImageFolder(CheckedFolder, datasets.CustomDataset):
    """mmpretrain's ``CustomDataset``: ``<data_prefix>/<class>/`` or an ``ann_file``, checked."""
