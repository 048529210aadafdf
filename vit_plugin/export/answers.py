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
    """What the toolkit's own inference gives for RGB pixels (B, 3, H, W), as a file would."""
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
    """Detection of one image: ``boxes`` (N, 4), ``scores`` (N,) and ``labels`` (N,)."""
    found = samples[0].pred_instances
    return dict(boxes=found.bboxes.numpy(), scores=found.scores.numpy(),
                labels=found.labels.numpy())


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
    """Put boxes into a data sample, in the pixels of the image as it was loaded."""
    scale = torch.tensor(sample.scale_factor).repeat(2)
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(answers['boxes']) / scale,
        scores=torch.from_numpy(answers['scores']), labels=torch.from_numpy(answers['labels']))


def label_of(logits: Tensor) -> Tensor:
    """(1, num_classes, H, W) -> (1, H, W)."""
    return logits.argmax(1)


COLLECT: dict[str, Callable[[Sequence[Any]], Answers]] = {
    'classification': collect_scores, 'segmentation': collect_maps,
    'detection': collect_boxes}
FILL: dict[str, Callable[[Any, Answers], None]] = {
    'classification': set_scores, 'segmentation': set_labels,
    'detection': set_boxes}
