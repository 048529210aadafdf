"""Answers of a toolkit's model, and of a file, in the form of each other."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

Answers = dict[str, np.ndarray]


def toolkit_answers(model: Any, task: str, image: np.ndarray) -> Answers:
    """The answers of the toolkit's own inference for RGB pixels (B, 3, H, W), as a file's."""
    inputs = [torch.from_numpy(pixels[::-1].copy()) for pixels in image]  # BGR, as it is loaded
    size = image.shape[2:]
    metainfo = dict(ori_shape=size, img_shape=size, pad_shape=size, scale_factor=(1., 1.))
    samples = [data_sample(task, metainfo) for _ in inputs]
    with torch.no_grad():
        found = model.test_step(dict(inputs=inputs, data_samples=samples))
    return COLLECT[task](found)


def data_sample(task: str, metainfo: dict[str, Any]) -> Any:
    """An empty data sample of the task's toolkit."""
    if task == 'classification':
        from mmpretrain.structures import DataSample
        return DataSample(metainfo=metainfo)
    if task == 'detection':
        from mmdet.structures import DetDataSample
        return DetDataSample(metainfo=metainfo)
    from mmseg.structures import SegDataSample
    return SegDataSample(metainfo=metainfo)


def collect_scores(samples: Sequence[Any]) -> Answers:
    """Classification: ``scores`` (B, num_classes)."""
    return dict(scores=torch.stack([sample.pred_score for sample in samples]).numpy())


def collect_maps(samples: Sequence[Any]) -> Answers:
    """Segmentation: ``labels`` (B, H, W) and ``logits`` (B, num_classes, H, W)."""
    labels = torch.stack([sample.pred_sem_seg.data[0] for sample in samples])
    logits = torch.stack([sample.seg_logits.data for sample in samples])
    return dict(labels=labels.long().numpy(), logits=logits.numpy())


def collect_boxes(samples: Sequence[Any]) -> Answers:
    """Detection of one image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,), and where the
    model has them ``masks`` (N, H, W).
    """
    found = samples[0].pred_instances
    answers = dict(boxes=found.bboxes.numpy(), scores=found.scores.numpy(),
                   labels=found.labels.numpy())
    if 'masks' in found:
        answers['masks'] = found.masks.numpy()
    return answers


def paste(masks: np.ndarray, boxes: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Masks (N, H, W) of an image, of the probabilities (N, h, w) in the places of its boxes.

    Bilinear, with zeros around: mmdet's ``_do_paste_mask``, as two matrix products.
    """
    pasted = np.zeros((len(boxes), *size), bool)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        rows = interpolation(y1, y2, size[0], masks.shape[1])
        columns = interpolation(x1, x2, size[1], masks.shape[2])
        pasted[i] = rows @ masks[i] @ columns.T >= 0.5
    return pasted


def interpolation(first: float, end: float, length: int, places: int) -> np.ndarray:
    """(length, places): the weights of places from ``first`` to ``end`` at each pixel's centre."""
    extent = max(end - first, 1e-6)  # of a box without, none
    place = (np.arange(length) + 0.5 - first) / extent * places - 0.5
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(places))).astype(np.float32)


def set_scores(sample: Any, answers: Answers) -> None:
    """Put the scores (1, num_classes) of a classifier into a data sample."""
    scores = torch.from_numpy(answers['scores'][0])
    sample.set_pred_score(scores).set_pred_label(scores.argmax())


def set_labels(sample: Any, answers: Answers) -> None:
    """Put a segmentor's answer into a data sample, resized to the image as it was loaded."""
    size = sample.ori_shape[:2]
    if 'labels' in answers:
        labels = torch.from_numpy(answers['labels'])[None].float()
        labels = F.interpolate(labels, size=size, mode='nearest')[0].long()
    else:
        logits = torch.from_numpy(answers['logits'])
        logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=False)
        labels = label_of(logits)
    sample.pred_sem_seg = PixelData(data=labels)


def set_boxes(sample: Any, answers: Answers) -> None:
    """Put boxes and masks into a data sample, in the pixels of the image as it was loaded."""
    scale = np.tile(np.asarray(sample.scale_factor, np.float32), 2)
    boxes = answers['boxes'] / scale
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(boxes), scores=torch.from_numpy(answers['scores']),
        labels=torch.from_numpy(answers['labels']))
    if 'masks' in answers:
        masks = paste(answers['masks'], boxes, sample.ori_shape[:2])
        sample.pred_instances.masks = torch.from_numpy(masks)


def label_of(logits: Tensor) -> Tensor:
    """(1, num_classes, H, W) -> (1, H, W)."""
    return logits.argmax(1)


COLLECT: dict[str, Callable[[Sequence[Any]], Answers]] = {
    'classification': collect_scores, 'segmentation': collect_maps,
    'detection': collect_boxes}
FILL: dict[str, Callable[[Any, Answers], None]] = {
    'classification': set_scores, 'segmentation': set_labels,
    'detection': set_boxes}
