"""Annotation files of mmpretrain: an image and the number of its class on each line."""
import os

from mmengine.config import Config

from vit_plugin.errors import shorten
from vit_plugin.toolkits import data_sets

from .findings import Finding

# The data sets of mmpretrain that read such a file.
TYPES = ('CustomDataset', 'ImageNet', 'ImageNet21k')


def check_annotation_lists(cfg: Config) -> list[Finding]:
    """Check the files that mmpretrain's own data sets read; the plugin's check theirs."""
    findings: dict[str, list[Finding]] = {}
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for dataset in data_sets((cfg.get(name) or {}).get('dataset')):
            kind = str(dataset.get('type')).removeprefix('mmpretrain.')
            if kind in TYPES and dataset.get('ann_file') and not dataset.get('backend_args'):
                path = os.path.join(dataset.get('data_root') or '', dataset['ann_file'])
                has_labels = dataset.get('with_label', True)
                findings[path] = check_annotation_list(os.path.expanduser(path), has_labels)
    return [finding for found in findings.values() for finding in found]


def check_annotation_list(path: str, has_labels: bool = True) -> list[Finding]:
    """Error with the lines of a file that are not ``<image> <number of the class>``.

    Args:
        path: The file; one that is not there passes, and is named by whoever reads it.
        has_labels: False if a line is the name of an image alone.
    """
    if not os.path.isfile(path):
        return []
    with open(path, 'rb') as file:
        content = file.read()
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        number = content[:error.start].count(b'\n') + 1
        return [Finding(f"line {number} of '{path}' is not in UTF-8 "
                        f'({content.splitlines()[number - 1]!r:.80}): save the file as UTF-8')]
    wrong = [f'line {i} is {line!r:.80}' for i, line in enumerate(lines, 1)
             if not is_right(line, has_labels)]
    if not wrong:
        return []
    form = 'the name of an image'
    if has_labels:
        form += ', one space and the number of its class (from 0, such as 3)'
    return [Finding(f"{len(wrong)} of {len(lines)} lines of '{path}' are not {form}: "
                    f'{shorten(wrong, 3)}')]


def is_right(line: str, has_labels: bool) -> bool:
    """True if mmpretrain reads a line as its writer means it."""
    name, _, label = line.strip().rpartition(' ')
    if not has_labels:
        return bool(line.strip())
    is_number = label.removeprefix('-').isdecimal()  # its range is looked at later
    return bool(name) and name == name.strip() and is_number
