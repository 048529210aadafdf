"""The annotation file of an evaluator beside the data that it evaluates."""
import logging
import os
from collections.abc import Sequence

from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric

from vit_plugin.errors import shorten

from .findings import Finding


def check_evaluator(metric: BaseMetric, dataset: BaseDataset) -> list[Finding]:
    """Error where mmdet's ``CocoMetric`` has no file, or one of other images than the data set.

    Args:
        metric: Any metric; all but mmdet's ``CocoMetric`` and the plugin's pass, also mmdet's for
            LVIS, panoptic segmentation and videos, which are its subclasses or like it.
        dataset: The data set that is evaluated.
    """
    if type(metric).__name__ != 'CocoMetric' or not hasattr(dataset, 'get_data_info'):
        return []
    if metric._coco_api is None:
        steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
        if any('instances' in getattr(step, 'meta_keys', ()) for step in steps):
            return []
        return [Finding("the evaluator has no ann_file: set val_evaluator.ann_file and "
                        'test_evaluator.ann_file to that of the data set')]
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return check_evaluated(metric._coco_api.dataset, [info for info in infos if 'img_id' in info])


def check_top_k(metric: BaseMetric, num_classes: int) -> list[Finding]:
    """Error where mmpretrain's ``Accuracy`` asks for more of the highest scores than there are.

    Args:
        metric: Any metric.
        num_classes: Scores of an image; 0 if that is not known.
    """
    wanted = getattr(metric, 'topk', None)
    if type(metric).__name__ != 'Accuracy' or not num_classes or not isinstance(wanted, Sequence):
        return []
    if max(wanted) <= num_classes:
        return []
    fitting = tuple(k for k in wanted if k <= num_classes)
    return [Finding(f'the evaluator has topk={tuple(wanted)}, but there are {num_classes} classes: '
                    f'set val_evaluator.topk and test_evaluator.topk to {fitting}')]


def check_evaluated(content: dict, infos: Sequence[dict]) -> list[Finding]:
    """Error where an evaluator's file has other images, or ids that pycocotools misreads.

    Args:
        content: The evaluator's file.
        infos: The images of the data set, in mmdet's form.
    """
    images = {image['id']: image for image in content['images']}
    other = []
    for info in infos:
        known, name = images.get(info['img_id']), os.path.basename(info['img_path'])
        if known is None:
            other.append(f"'{name}' (no image has its id {info['img_id']!r})")
        elif stem(known.get('file_name', name)) != stem(name):
            other.append(f"'{name}' (its id {info['img_id']!r} is there '{known['file_name']}')")
    findings = []
    if other:
        findings.append(Finding(
            f"{len(other)} of {len(infos)} images of the data are not in the evaluator's ann_file: "
            f'{shorten(other)}. It must be the file of this data set'))
    if any(annotation['id'] == 0 for annotation in content.get('annotations', ())):
        findings.append(Finding(
            "the evaluator's ann_file has an annotation with the id 0, which pycocotools takes for "
            "no match: use type='vit_plugin.CocoMetric', or number the annotations from 1"))
    if len(images) > len(infos) and not other:
        findings.append(Finding(
            f"the evaluator's ann_file has {len(images)} images, the data {len(infos)}: the others "
            'count as images in which nothing was found', logging.WARNING))
    return findings


def stem(name: str) -> str:
    """Name of a file without folder and ending."""
    return os.path.splitext(os.path.basename(name))[0]
