"""Predictions beside the ground truth: boxes and masks, label maps, or classes."""
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import mmcv
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from mmengine.dataset import Compose

from vit_plugin.toolkits import data_sets

from .drawing import finish, grid
from .subject import PictureError, Subject, check_image, spread, test_dataset

NO_LABEL = 255  # of mmseg's label maps


@dataclass
class Sample:
    """An image, and what is known about it; ``truth`` is None for an image given by hand."""

    path: str
    truth: dict[str, Any] | None = None


def given_samples(images: list[str]) -> list[Sample]:
    """Images without ground truth."""
    for path in images:
        check_image(path)
    return [Sample(path) for path in images]


def test_samples(subject: Subject, count: int) -> list[Sample]:
    """Images spread evenly over the config's test data, with their ground truth."""
    dataset = subject.dataset
    steps = [step for step in test_dataset(subject.cfg).pipeline if 'LoadImage' in step.type]
    with subject.scope():
        load = Compose(steps + annotation_steps(subject)[:1])
        infos = [dataset.get_data_info(i) for i in spread(count, len(dataset))]
        return [Sample(info['img_path'], load(info)) for info in infos]


def annotation_steps(subject: Subject) -> list[dict]:
    """The steps of the config's pipelines that load annotations; none for classifiers."""
    trained = (subject.cfg.get('train_dataloader') or {}).get('dataset')
    return [step for dataset in (test_dataset(subject.cfg), *data_sets(trained))
            for step in dataset.get('pipeline') or []
            if step.type.split('.')[-1] == 'LoadAnnotations']


def draw(subject: Subject, samples: list[Sample], threshold: float = 0.5) -> Figure:
    """One column for each sample; the kind of the prediction decides what is drawn.

    Args:
        subject: The model.
        samples: Of `test_samples` or `given_samples`.
        threshold: Least score of the detections that are drawn.
    """
    found = [subject.predict(subject.view(sample.path)) for sample in samples]
    if 'pred_instances' in found[0]:
        return draw_detections(subject, samples, found, threshold)
    if 'pred_sem_seg' in found[0]:
        return draw_segmentations(subject, samples, found)
    if 'pred_score' in found[0]:
        return draw_classes(subject, samples, found)
    raise PictureError('predictions draws the results of classifiers, detectors and segmentors, '
                       f'not those of {type(subject.model).__name__}')


def pixels_of(sample: Sample) -> np.ndarray:
    """The image (H, W, 3) as it is in the file, in RGB."""
    return mmcv.imread(sample.path, channel_order='rgb')


def colour_of(label: int, palette: Any = None) -> tuple[float, float, float]:
    """The colour of a class, components in [0, 1]."""
    if palette is not None:
        red, green, blue = palette[label]
        return red / 255, green / 255, blue / 255
    red, green, blue, _ = colormaps['tab10'](label % 10)
    return red, green, blue


def draw_detections(subject: Subject, samples: list[Sample], found: list[Any],
                    threshold: float) -> Figure:
    """Boxes, masks and classes: the ground truth above, what was found below."""
    known = any(sample.truth is not None for sample in samples)
    figure, axes = grid(1 + known, len(samples))
    for column, (sample, result) in zip(axes.T, zip(samples, found)):
        for axis in column:
            axis.imshow(pixels_of(sample))
        if sample.truth is not None:
            real = ~sample.truth['gt_ignore_flags']
            labels, masks = sample.truth['gt_bboxes_labels'][real], sample.truth.get('gt_masks')
            draw_objects(column[0], sample.truth['gt_bboxes'].tensor.numpy()[real], labels,
                         [subject.class_name(label) for label in labels],
                         None if masks is None else masks.to_ndarray()[real])
        objects = result.pred_instances.cpu().numpy()
        objects = objects[objects.scores >= threshold]
        texts = [f'{subject.class_name(label)} {100 * score:.0f}'
                 for label, score in zip(objects.labels, objects.scores)]
        draw_objects(column[-1], objects.bboxes, objects.labels, texts, objects.get('masks'))
    if known:
        axes[0, 0].set_ylabel('ground truth')
    axes[-1, 0].set_ylabel('found')
    return finish(figure, 'Detections', f'What was found with a score of at least {threshold}; '
                  'the number is the score in percent.', subject)


def draw_objects(axis: Any, boxes: np.ndarray, labels: np.ndarray, texts: list[str],
                 masks: np.ndarray | None) -> None:
    """Boxes (N, 4) as x1, y1, x2, y2 with texts, and masks (N, H, W), in their class's colour."""
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        colour = colour_of(int(labels[i]))
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, lw=1.2))
        if masks is not None:
            tint = np.zeros((*masks[i].shape, 4))
            tint[masks[i] > 0] = (*colour, 0.45)
            axis.imshow(tint)
        axis.text(x1, y1, texts[i], color='white', fontsize=7, va='bottom', clip_on=True,
                  bbox=dict(facecolor=colour, edgecolor='none', pad=0.8))


def draw_segmentations(subject: Subject, samples: list[Sample], found: list[Any]) -> Figure:
    """Images, their label maps, and those predicted below."""
    palette = subject.metainfo.get('palette')
    known = any(sample.truth is not None for sample in samples)
    figure, axes = grid(2 + known, len(samples))
    present: set[int] = set()
    for column, (sample, result) in zip(axes.T, zip(samples, found)):
        pixels = pixels_of(sample)
        column[0].imshow(pixels)
        maps = [(column[-1], result.pred_sem_seg.data[0].cpu().numpy())]
        if sample.truth is not None:
            maps.append((column[1], sample.truth['gt_seg_map']))
        for axis, labels in maps:
            axis.imshow(tinted(pixels, labels, palette))
            present |= {int(label) for label in np.unique(labels)} - {NO_LABEL}
    for axis, text in zip(axes[:, 0], ['image', 'ground truth', 'predicted'] if known
                          else ['image', 'predicted']):
        axis.set_ylabel(text)
    patches = [Patch(color=colour_of(label, palette), label=subject.class_name(label))
               for label in sorted(present)]
    figure.legend(handles=patches, loc='outside right center', fontsize=8)
    return finish(figure, 'Segmentations', 'Each colour is a class; pixels without a label in the '
                  'ground truth show the image.', subject)


def tinted(pixels: np.ndarray, labels: np.ndarray, palette: Any) -> np.ndarray:
    """(H, W, 3) and (H, W) -> (H, W, 3): the image through the colours of its classes."""
    mixed = pixels / 255
    for label in set(np.unique(labels)) - {NO_LABEL}:
        where = labels == label
        mixed[where] = 0.35 * mixed[where] + 0.65 * np.array(colour_of(int(label), palette))
    return mixed


def draw_classes(subject: Subject, samples: list[Sample], found: list[Any]) -> Figure:
    """Images, each with the three likeliest classes below it."""
    columns = ceil(sqrt(len(samples)))
    figure, axes = grid(ceil(len(samples) / columns), columns, height=3.1)
    for axis in axes.flat[len(samples):]:
        axis.axis('off')
    for axis, sample, result in zip(axes.flat, samples, found):
        axis.imshow(pixels_of(sample))
        scores = result.pred_score.cpu()
        best = scores.topk(min(3, len(scores))).indices.tolist()
        axis.set_xlabel('\n'.join(f'{subject.class_name(label)}: {100 * scores[label]:.0f} %'
                                  for label in best), fontsize=9)
        if sample.truth is not None:
            truth = int(sample.truth['gt_label'])
            axis.set_title(subject.class_name(truth), fontsize=10,
                           color='tab:green' if truth == best[0] else 'tab:red')
    caption = 'Below each image the three likeliest classes.'
    if samples[0].truth is not None:
        caption += ' Above it its label: green if predicted, red if not.'
    return finish(figure, 'Predicted classes', caption, subject)
