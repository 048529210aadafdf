"""Samples of built data sets, one pass over them: the files are there, and labels are classes."""
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from torch import nn
from torch.utils.data import Dataset

from vit_plugin.errors import shorten
from vit_plugin.files import missing_files
from vit_plugin.toolkits import innermost

from .classes import classes_of
from .findings import Finding
from .heads import counts_of, is_retriever
from .label_maps import loader_of, steps

NO_LABEL = -100  # torch's losses pass over it
KEYS = ('img_path', 'seg_map_path', 'gt_label')  # of a sample, which are looked at


def check_samples(dataset: Dataset, model: nn.Module, split: str) -> list[Finding]:
    """Error where files of a split are absent, or class labels are no output of the model.

    Judges classification and segmentation data whose images are files of their own, but not
    folders of classes, which have just been listed. `check_images` judges COCO's.
    """
    findings = []
    for part in innermost(dataset):
        if reads_files(part):
            infos = [looked_at(part.get_data_info(i)) for i in range(len(part))]
            findings += check_files(part, infos)
            if split == 'train' or not is_retriever(model):
                count = counts_of(model).get('head') or len(classes_of(part))
                findings += check_class_labels(infos, count)
    return findings


def looked_at(sample: dict) -> dict:
    """The `KEYS` of a sample."""
    return {key: sample.get(key) for key in KEYS}


def reads_files(dataset: Dataset) -> bool:
    """True for a data set for classification or segmentation that names its samples' files."""
    library = type(dataset).__module__.split('.')[0]
    has_files = hasattr(dataset, 'get_data_info') and not hasattr(dataset, 'read')
    other = hasattr(dataset, 'folder_to_idx') or hasattr(dataset, 'coco')
    return library in ('mmpretrain', 'mmseg', 'vit_plugin') and has_files and not other


def check_files(dataset: BaseDataset, infos: Sequence[dict]) -> list[Finding]:
    """Error where images or label maps are not on the disk that the pipeline loads."""
    pipeline = list(steps(getattr(dataset, 'pipeline', None)))
    is_remote = any(getattr(step, 'backend_args', None) for step in pipeline)
    if is_remote or any(getattr(step, 'ignore_empty', False) for step in pipeline):
        return []
    loads = {'img_path': any('Load' in type(step).__name__ for step in pipeline),
             'seg_map_path': loader_of(dataset) is not None}
    findings = []
    for key, name in (('img_path', 'images'), ('seg_map_path', 'label maps')):
        paths = [info[key] for info in infos if isinstance(info.get(key), str)]
        missing = missing_files(paths) if loads[key] else []
        if missing:
            findings.append(Finding(
                f'{len(missing)} of {len(paths)} {name} are not on the disk: '
                f'{shorten(map(repr, missing), 3)}. Correct data_root (--data-root), data_prefix '
                'or the endings of the names, or take them out of the data'))
    return findings


def check_class_labels(infos: Sequence[dict], count: int) -> list[Finding]:
    """Error where images have class labels that are not in 0 ... count - 1.

    Args:
        infos: Samples; those without ``gt_label`` pass.
        count: Number of the classes; 0 if it is not known.
    """
    labelled = [info for info in infos if isinstance(info.get('gt_label'), (int, list, np.ndarray))]
    wrong, found = [], set()
    for info in labelled:
        labels = set(np.ravel(info['gt_label']).tolist())
        found |= labels
        others = {label for label in labels if not 0 <= label < count and label != NO_LABEL}
        if count and others:
            wrong.append(f"{min(others)} of '{info.get('img_path')}'")
    if not wrong:
        return []
    hint = '. Labels count from 0' if found == set(range(1, count + 1)) else ''
    return [Finding(f'{len(wrong)} of {len(labelled)} images have labels that are none of the '
                    f'{count} classes, 0 ... {count - 1}: {shorten(wrong, 3)}{hint}')]
