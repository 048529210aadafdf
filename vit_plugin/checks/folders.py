"""Folders of images, a folder for each class."""
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from vit_plugin.errors import count_passed_over, shorten

from .findings import Finding


def check_folder(folder: Path) -> list[Finding]:
    """Error where a folder of images is not there, or empty."""
    if not folder.is_dir():
        return [Finding(
            f"there is no folder '{folder}': set data_root so that it holds "
            f'{folder.name}/<class>/<image>, e.g. with `vit-plugin train --data-root`')]
    if not any(folder.iterdir()):
        return [Finding(f"the folder '{folder}' is empty")]
    return []


def check_images(folder: Path, images: Sequence[str], passed_over: str) -> list[Finding]:
    """Error where a folder holds no images, warning where it holds other files.

    Args:
        folder: The folder.
        images: What is read of it.
        passed_over: What is not read, by `describe_passed_over`.
    """
    if not images:
        return [Finding(f"'{folder}' holds no images{passed_over and '; '}{passed_over}")]
    return [Finding(f"'{folder}': {passed_over}", logging.WARNING)] if passed_over else []


def describe_passed_over(others: list[str], odd: list[str], hidden: list[str],
                         extensions: Collection[str]) -> str:
    """Count and name what is not read: files, links, pipes, hidden folders; empty if all is."""
    notes = []
    if others or odd:
        notes.append(count_passed_over([*others, *odd]))
    if others:
        notes[0] += ('. An image lies in the folder of its class, and ends in '
                     f'{", ".join(sorted(extensions))}; extensions=(...) of the data set replaces '
                     'these endings')
    if hidden:
        notes.append(f'hidden folders are passed over: {shorten(hidden)}')
    return '; '.join(notes)


def check_class_count(folder: Path, folders: Sequence[str],
                      classes: Sequence[str] | None) -> list[Finding]:
    """Error where ``metainfo`` names more or fewer classes than there are folders."""
    if classes is None or len(classes) == len(folders):
        return []
    return [Finding(f"metainfo=dict(classes=...) names {len(classes)} classes, but '{folder}' has "
                    f'{len(folders)} folders: {shorten(folders, 10)}')]


def check_empty_classes(folder: Path, samples: Sequence[dict], classes: Sequence[str],
                        passed_over: str) -> list[Finding]:
    """Error where classes have no images among the labelled samples."""
    present = {sample['gt_label'] for sample in samples}
    empty = [str(name) for i, name in enumerate(classes) if i not in present]
    if not empty:
        return []
    return [Finding(f"{len(empty)} of {len(classes)} classes in '{folder}' have no images: "
                    f"{shorten(empty, 10)}{passed_over and '; '}{passed_over}")]
