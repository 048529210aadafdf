"""Folders of images that are checked before training."""
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmpretrain import datasets

from vit_plugin.registry import DATASETS


class CheckedFolder:
    """Makes a data set of mmpretrain refuse a missing folder and classes without images."""

    img_prefix: str
    CLASSES: Any

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
                f"{folder.name}/<class>/<image>, e.g. with tools/train.py --data-root")
        if not any(folder.iterdir()):
            raise ValueError(f"the folder '{folder}' is empty")
        print_log(f"'{folder}': reading the list of images", 'current')
        samples = super().load_data_list()  # type: ignore[misc]
        print_log(f"'{folder}': {len(samples)} images", 'current')
        if samples and 'gt_label' in samples[0] and self.CLASSES is not None:
            present = {sample['gt_label'] for sample in samples}
            names = getattr(self, 'folder_to_idx', None) or self.CLASSES
            empty = [str(name) for i, name in enumerate(names) if i not in present]
            if empty:
                raise ValueError(
                    f"{len(empty)} of {len(names)} classes in '{folder}' have no images: "
                    f"{', '.join(empty[:10])}{' ...' if len(empty) > 10 else ''}")
        return samples

    def prepare_data(self, idx: int) -> Any:
        """One sample through the pipeline; what cannot be decoded is named in the error."""
        try:
            return super().prepare_data(idx)  # type: ignore[misc]
        except (OSError, SyntaxError) as error:  # Pillow's; unlike Python's, without a name
            if getattr(error, 'filename', None):
                raise
            path = self.get_data_info(idx)['img_path']  # type: ignore[attr-defined]
            raise ValueError(f"cannot decode the image '{path}' "
                             f'({type(error).__name__}: {error})') from error


@DATASETS.register_module()
class ImageNet(CheckedFolder, datasets.ImageNet):
    """mmpretrain's ``ImageNet``: ``<split>/<wnid>/`` or ``meta/<split>.txt``, checked."""


@DATASETS.register_module()
class ImageFolder(CheckedFolder, datasets.CustomDataset):
    """mmpretrain's ``CustomDataset``: ``<data_prefix>/<class>/`` or an ``ann_file``, checked."""
