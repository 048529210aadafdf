"""Predictions beside the ground truth: boxes and masks, label maps, or classes."""
from collections.abc import Sequence
from math import ceil, sqrt

import mmcv
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from mmengine.dataset import Compose

from vit_plugin.toolkits import data_sets

from .drawing import finish, grid
from .subject import PictureError, Subject, View, test_dataset

NO_LABEL = 255  # of mmseg's label maps
LEAST_SCORE = 0.5  # of the detections that are drawn
Palette = Sequence[Sequence[int]] | None


def ground_truth(subject: Subject, view: View) -> dict | None:
    """The annotations of an image of the test data, by the first pipeline that loads some."""
    if view.info is None:
        return None
    steps = [step for step in test_dataset(subject.cfg).pipeline if 'LoadImage' in step.type]
    with subject.scope():
        return Compose(steps + annotation_steps(subject)[:1])(view.info)


def annotation_steps(subject: Subject) -> list[dict]:
    """The steps of the config's pipelines that load annotations; none for classifiers."""
    trained = (subject.cfg.get('train_dataloader') or {}).get('dataset')
    steps: list[dict] = []
    for dataset in (test_dataset(subject.cfg), *data_sets(trained)):
        steps += dataset.get('pipeline') or []
    return [step for step in steps if step['type'].split('.')[-1] == 'LoadAnnotations']


def draw(subject: Subject, views: list[View]) -> Figure:
    """One column for each image; the kind of the prediction decides what is drawn."""
    found = [subject.predict(view) for view in views]
    truths = [ground_truth(subject, view) for view in views]
    for kind, draw_kind in (('pred_instances', draw_detections), ('pred_sem_seg', draw_label_maps),
                            ('pred_score', draw_classes)):
        if kind in found[0]:
            return draw_kind(subject, views, truths, found)
    raise PictureError('predictions draws the results of classifiers, detectors and segmentors, '
                       f'not those of {type(subject.model).__name__}')


def pixels_of(view: View) -> np.ndarray:
    """The image (H, W, 3) as it is in the file, in RGB."""
    return mmcv.imread(view.path, channel_order='rgb')


def colour_of(label: int, palette: Palette = None) -> tuple[float, float, float]:
    """The colour of a class, components in [0, 1]."""
    if palette is not None:
        red, green, blue = (value / 255 for value in palette[label])
        return red, green, blue
    red, green, blue, _ = colormaps['tab10'](label % 10)
    return red, green, blue


def draw_detections(subject: Subject, views: list[View], truths: list, found: list) -> Figure:
    """Boxes, masks and classes: the ground truth above, what was found below."""
    known = any(truth is not None for truth in truths)
    figure, axes = grid(1 + known, len(views))
    for column, view, truth, result in zip(axes.T, views, truths, found):
        for axis in column:
            axis.imshow(pixels_of(view))
        if truth is not None:
            real = ~truth['gt_ignore_flags']
            labels, masks = truth['gt_bboxes_labels'][real], truth.get('gt_masks')
            if masks is not None:
                masks = masks.to_ndarray()[real]
            draw_objects(column[0], truth['gt_bboxes'].tensor.numpy()[real], labels,
                         [subject.class_name(label) for label in labels], masks)
        objects = result.pred_instances.cpu().numpy()
        objects = objects[objects.scores >= LEAST_SCORE]
        texts = [f'{subject.class_name(label)} {100 * score:.0f}'
                 for label, score in zip(objects.labels, objects.scores)]
        draw_objects(column[-1], objects.bboxes, objects.labels, texts, objects.get('masks'))
    if known:
        axes[0, 0].set_ylabel('ground truth')
    axes[-1, 0].set_ylabel('found')
    return finish(figure, 'Detections', f'What was found with a score of at least {LEAST_SCORE}; '
                  'the number is the score in percent.', subject)


def draw_objects(axis: Axes, boxes: np.ndarray, labels: np.ndarray, texts: list[str],
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


def draw_label_maps(subject: Subject, views: list[View], truths: list, found: list) -> Figure:
    """Images, their label maps, and those predicted below."""
    palette = subject.metainfo.get('palette')
    rows = ['image', 'ground truth', 'predicted']
    if all(truth is None for truth in truths):
        rows.remove('ground truth')
    figure, axes = grid(len(rows), len(views))
    for axis, text in zip(axes[:, 0], rows):
        axis.set_ylabel(text)
    present: set[int] = set()
    for column, view, truth, result in zip(axes.T, views, truths, found):
        pixels = pixels_of(view)
        column[0].imshow(pixels)
        maps = [(column[-1], result.pred_sem_seg.data[0].cpu().numpy())]
        if truth is not None:
            maps.append((column[1], truth['gt_seg_map']))
        for axis, labels in maps:
            axis.imshow(tinted(pixels, labels, palette))
            present.update(np.unique(labels).tolist())
    patches = [Patch(color=colour_of(label, palette), label=subject.class_name(label))
               for label in sorted(present - {NO_LABEL})]
    figure.legend(handles=patches, loc='outside right center', fontsize=8)
    return finish(figure, 'Segmentations', 'Each colour is a class; pixels without a label in the '
                  'ground truth show the image.', subject)


def tinted(pixels: np.ndarray, labels: np.ndarray, palette: Palette) -> np.ndarray:
    """(H, W, 3) and (H, W) -> (H, W, 3): the image through the colours of its classes."""
    mixed = pixels / 255
    for label in set(np.unique(labels)) - {NO_LABEL}:
        where = labels == label
        mixed[where] = 0.35 * mixed[where] + 0.65 * np.array(colour_of(int(label), palette))
    return mixed


def draw_classes(subject: Subject, views: list[View], truths: list, found: list) -> Figure:
    """Images, each with the three likeliest classes below it."""
    columns = ceil(sqrt(len(views)))
    figure, axes = grid(ceil(len(views) / columns), columns, height=3.1)
    for axis, view, truth, result in zip(axes.flat, views, truths, found):
        axis.imshow(pixels_of(view))
        scores = result.pred_score.cpu()
        best = scores.topk(min(3, len(scores))).indices.tolist()
        lines = [f'{subject.class_name(label)}: {100 * scores[label]:.0f} %' for label in best]
        axis.set_xlabel('\n'.join(lines), fontsize=9)
        if truth is not None:
            real = int(truth['gt_label'])
            colour = 'tab:green' if real == best[0] else 'tab:red'
            axis.set_title(subject.class_name(real), fontsize=10, color=colour)
    caption = 'Below each image the three likeliest classes.'
    if truths[0] is not None:
        caption += ' Above it its label: green if predicted, red if not.'
    return finish(figure, 'Predicted classes', caption, subject)
