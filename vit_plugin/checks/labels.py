"""A look at the label maps before training."""
import logging
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from vit_plugin.errors import UserError, count_passed_over
from vit_plugin.files import list_files
from vit_plugin.registry import HOOKS

from .label_maps import stored_values


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Stops a run of mmseg before its first iteration if all pixels of a data set are ignored.

    mmseg trains on such data, with a loss of 0, an accuracy of 100 % and an IoU of nan. Looks at
    some label maps, as they are loaded for training, validation or test, and logs the share of
    ignored pixels. Only if they hold nothing else, the others are read as well, up to the first
    label. Also names files that lie among the images and do not end in ``img_suffix``: mmseg passes
    over them without a word.

    Args:
        num_maps: How many label maps are looked at, spread evenly over the data set.
    """

    def __init__(self, num_maps: int = 20) -> None:
        self.num_maps = num_maps

    def before_train(self, runner: Runner) -> None:
        """Look at the data for training and validation."""
        self.check(runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self.check(runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Look at the data for the test."""
        self.check(runner.test_dataloader.dataset)

    def check(self, dataset: Any) -> None:
        """Look at a data set, or at those in a wrapper; what has no label maps passes.

        Raises:
            ValueError: all pixels are ignored.
        """
        for part in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
            if part is not None:
                self.check(part)
                continue
            load = next((step for step in steps(getattr(dataset, 'pipeline', None))
                         if getattr(step, 'with_seg', False)), None)
            if load is not None and len(dataset):
                self.check_maps(dataset, load)
                check_suffix(dataset)

    def check_maps(self, dataset: Any, load: Any) -> None:
        """Count the labels of some maps; of all, up to the first label, if there are none."""
        size = len(dataset)
        looked_at = np.unique(np.linspace(0, size - 1, min(self.num_maps, size)).astype(int))
        counts: Counter = Counter()
        for i in looked_at:
            labels, pixels = np.unique(load_labels(dataset, i, load), return_counts=True)
            counts.update(dict(zip(labels.tolist(), pixels.tolist())))
        paths = [dataset.get_data_info(int(i))['seg_map_path'] for i in looked_at]
        ignore = getattr(dataset, 'ignore_index', 255)
        share = 100 * counts[ignore] / counts.total()
        print_log(f"'{os.path.dirname(paths[0])}': {share:.1f} % of the pixels are ignored in "
                  f'{len(looked_at)} of {size} label maps', 'current')
        found = sorted(set(counts) - {ignore})
        classes = dataset.metainfo.get('classes') or ()
        if not found:
            others = np.setdiff1d(np.arange(size), looked_at)
            if not any((load_labels(dataset, i, load) != ignore).any() for i in others):
                raise UserError(describe(dataset, paths))
        elif len(found) == 1 and len(classes) > 1:
            name = f"'{classes[found[0]]}'" if found[0] < len(classes) else found[0]
            print_log(f'all labelled pixels of these {len(looked_at)} label maps are of one class, '
                      f"{name}: '{paths[0]}' has the values {stored_values(paths[0])}", 'current',
                      logging.WARNING)


def check_suffix(dataset: Any) -> None:
    """Warn of files beside the images that have another ending."""
    suffix, folder = getattr(dataset, 'img_suffix', None), dataset.data_prefix.get('img_path')
    if suffix is None or dataset.ann_file or not os.path.isdir(folder or ''):
        return
    read = (suffix, dataset.seg_map_suffix)  # the maps may lie there, too
    found = list_files(folder)
    others = [file for file in found.files if not file.endswith(read)]
    if others or found.broken:
        print_log(f"'{folder}': {count_passed_over(others, found.broken)}. img_suffix="
                  f"'{suffix}' of the data set says which are read", 'current', logging.WARNING)


def steps(pipeline: Any) -> Iterator[Any]:
    """The transforms of a pipeline, also those within test-time augmentation."""
    for step in getattr(pipeline, 'transforms', None) or ():
        yield step
        for branch in getattr(step, 'subroutines', None) or ():
            yield from steps(branch)


def load_labels(dataset: Any, index: int, load: Any) -> np.ndarray:
    """A label map (H, W) as the model gets it, but for resizing and cropping."""
    return load(dataset.get_data_info(int(index)))['gt_seg_map']


def describe(dataset: Any, paths: list[str]) -> str:
    """The message on a data set without labels, with the usual cause."""
    values = sorted({value for path in paths for value in stored_values(path)})
    text = (f'all pixels of all {len(dataset)} label maps are ignored, so that there is nothing to '
            f"learn. The first is '{paths[0]}'; {len(paths)} of them have the values {values[:10]}")
    if getattr(dataset, 'reduce_zero_label', False):
        text += ('. With reduce_zero_label=True, 0 is no label and 1 the first class; 255 is no '
                 'label in any case')
    else:
        text += '. 0 is the first class; 255 is no label'
    if getattr(dataset, 'label_map', None):
        text += '; labels of classes that metainfo leaves out are ignored as well'
    if values == [0, 255]:
        text += ('. Black-and-white exports of one class have such values: save the numbers of the '
                 'classes in their place')
    return text
