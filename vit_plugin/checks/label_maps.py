"""Label maps of semantic segmentation, those of a data set and those that are evaluated."""
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import Dataset

from vit_plugin.errors import count_passed_over
from vit_plugin.files import list_files
from vit_plugin.toolkits import innermost

from .findings import Finding
from .label_map import check_range, is_jpeg, stored_values

Transform = Callable[[dict], dict]  # a step of a pipeline


def check_evaluated_maps(samples: Sequence[BaseDataElement], num_classes: int,
                         ignored: Collection[int]) -> list[Finding]:
    """Error where label maps that are evaluated have labels that are no class.

    mmseg's metrics leave such pixels out without a word.

    Args:
        samples: mmseg's ``SegDataSample`` with ``gt_sem_seg``, or other samples, which pass.
        num_classes: Number of the classes.
        ignored: These labels are allowed, too.
    """
    findings = []
    for sample in samples:
        if 'gt_sem_seg' in sample:
            labels = sample.gt_sem_seg.data.cpu().numpy()
            path = sample.get('seg_map_path', '')
            reduced = bool(sample.get('reduce_zero_label'))
            findings += check_range(labels, path, num_classes, ignored, reduced)
    return findings


def check_label_maps(dataset: Dataset, num_maps: int = 20) -> list[Finding]:
    """Look at some maps of each data set that loads label maps, and at its list of images.

    Args:
        dataset: A data set, perhaps within others.
        num_maps: How many are looked at, spread evenly over each data set.
    """
    findings = []
    for part in innermost(dataset):
        load = loader_of(part)
        if load is not None and len(part):
            findings += check_labels_exist(part, load, num_maps)
            findings += check_suffix(part)
    return findings


def ignored_labels(model: nn.Module, dataset: Dataset, metrics: Sequence[BaseMetric]) -> set[int]:
    """Labels that the heads of a segmentor, its data or its metrics pass over."""
    owners = [*model.modules(), *innermost(dataset), *metrics]
    found = {getattr(owner, 'ignore_index', None) for owner in owners}
    return {255} | {index for index in found if isinstance(index, int)}


def check_labels_exist(dataset: BaseDataset, load: Transform, num_maps: int) -> list[Finding]:
    """Error where the maps have no labels; else a remark on the share of pixels without one.

    mmseg trains on maps of nothing, with a loss of 0 and an IoU of nan. Only where those that are
    looked at have no label, the others are read as well, up to the first label.

    Args:
        dataset: A data set of mmseg.
        load: Its transform that loads label maps.
        num_maps: How many are looked at, spread evenly over the data set.
    """
    size = len(dataset)
    looked_at = np.unique(np.linspace(0, size - 1, min(num_maps, size)).astype(int)).tolist()
    counts: Counter = Counter()
    for i in looked_at:
        labels, pixels = np.unique(load_labels(dataset, i, load), return_counts=True)
        counts.update(dict(zip(labels.tolist(), pixels.tolist())))
    paths = [dataset.get_data_info(i)['seg_map_path'] for i in looked_at]
    ignore = getattr(dataset, 'ignore_index', 255)
    found = sorted(set(counts) - {ignore})
    if not found:
        others = set(range(size)).difference(looked_at)
        if not any((load_labels(dataset, i, load) != ignore).any() for i in sorted(others)):
            return [Finding(describe_empty(dataset, paths))]
    share = 100 * counts[ignore] / counts.total()
    findings = [Finding(
        f"'{os.path.dirname(paths[0])}': {share:.1f} % of the pixels are ignored in "
        f'{len(looked_at)} of {size} label maps', logging.INFO)]
    jpegs = list(filter(is_jpeg, paths))
    if jpegs:
        findings.append(Finding(
            f"{len(jpegs)} of these label maps, such as '{jpegs[0]}', are JPEGs, which have other "
            'values where classes meet: save them as PNG, from their source', logging.WARNING))
    classes = dataset.metainfo.get('classes') or ()
    if len(found) == 1 and len(classes) > 1:
        name = f"'{classes[found[0]]}'" if found[0] < len(classes) else found[0]
        findings.append(Finding(
            f'all labelled pixels of these {len(looked_at)} label maps are of one class, {name}: '
            f"'{paths[0]}' has the values {stored_values(paths[0])}", logging.WARNING))
    return findings


def check_suffix(dataset: BaseDataset) -> list[Finding]:
    """Warning where files beside the images have another ending, which mmseg passes over."""
    suffix, folder = getattr(dataset, 'img_suffix', None), dataset.data_prefix.get('img_path')
    if suffix is None or dataset.ann_file or not os.path.isdir(folder or ''):
        return []
    read = (suffix, dataset.seg_map_suffix)  # the maps may lie there, too
    found = list_files(folder)
    others = [file for file in found.files if not file.endswith(read)]
    others += found.odd
    if not others:
        return []
    return [Finding(f"'{folder}': {count_passed_over(others)}. img_suffix='{suffix}' of the data "
                    'set says which are read', logging.WARNING)]


def loader_of(dataset: BaseDataset) -> Transform | None:
    """The transform of a data set that loads label maps; None if it has none."""
    for step in steps(getattr(dataset, 'pipeline', None)):
        if getattr(step, 'with_seg', False):
            return step
    return None


def steps(pipeline: Compose | None) -> Iterator[Transform]:
    """The transforms of a pipeline, also those within test-time augmentation."""
    for step in getattr(pipeline, 'transforms', None) or ():
        yield step
        for branch in getattr(step, 'subroutines', None) or ():
            yield from steps(branch)


def load_labels(dataset: BaseDataset, index: int, load: Transform) -> np.ndarray:
    """A label map (H, W) as the model gets it, but for resizing and cropping."""
    return load(dataset.get_data_info(index))['gt_seg_map']


def describe_empty(dataset: BaseDataset, paths: Sequence[str]) -> str:
    """The message on a data set without labels, with the usual cause."""
    values = sorted({value for path in paths for value in stored_values(path)})
    text = (f'all pixels of all {len(dataset)} label maps are ignored, so that there is nothing to '
            f"learn. The first is '{paths[0]}'; {len(paths)} of them have the values {values[:10]}")
    if getattr(dataset, 'reduce_zero_label', False):
        text += ('. With reduce_zero_label=True, 0 is no label and 1 the first class; 255 is no '
                 'label in any case')
    else:
        text += '. 0 is the first class; 255 is no label'
    return text
