"""The second half of the quickstart: does a Swin that has seen digits find them in scenes?

Pretrains a small Swin on single digits, then trains a Mask R-CNN and a UPerNet on scenes of such
digits, each from the pretrained and from random weights for equally long. Every run is an
ordinary ``vit-plugin train`` with a config of configs/quickstart/. Writes a table to
work_dirs/quickstart/; the report draws what the trained models find.
"""
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from vit_plugin.files import folder_written_whole

from .digits import load_digits, save
from .runs import Run, console, train, write_results

SPLITS = {'train': 'teacher', 'val': 'val'}  # which digits are in them
CELL = 48  # pixels; a scene has 2x2 of them
SIZE = 2 * CELL
NUM_PLACES = {'train': 3, 'val': 1}  # pictures of each single digit
NUM_SCENES = {'train': 800, 'val': 100}
# Enough for boxes and label maps that look right, and no more: the demo should stay short.
ITERATIONS = {'swin': 1000, 'detector': 120, 'segmentor': 600}
ADE_NAMES = {'train': 'training', 'val': 'validation'}


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
    rng = np.random.default_rng(2)
    digits = load_digits()
    with folder_written_whole(root) as part:
        for split, source in SPLITS.items():
            for label, images in digits[source].items():
                for i, image in enumerate(images.repeat(NUM_PLACES[split], axis=0)):
                    picture = noise(CELL, rng)
                    put(image, picture, rng)
                    save(picture, part / split / str(label) / f'{i:04d}.png')


def write_scenes(root: Path) -> None:
    """Write the scenes as a COCO data set, and once more as a folder like ADE20K's."""
    if root.exists():
        return
    digits = load_digits()
    with folder_written_whole(root) as part:
        for seed, (split, source) in enumerate(SPLITS.items()):
            rng = np.random.default_rng(seed)
            scenes = [compose(digits[source], rng) for _ in range(NUM_SCENES[split])]
            for i, (picture, objects) in enumerate(scenes):
                label_map = np.ones((SIZE, SIZE), np.uint8)  # 0 is "no label", 1 the background
                for label, mask in objects:
                    label_map[mask > 0] = 2 + label
                name = f'{i:04d}.png'
                save(picture, part / 'coco' / split / name)
                save(picture, part / 'ade/images' / ADE_NAMES[split] / name)
                save(label_map, part / 'ade/annotations' / ADE_NAMES[split] / name)
            (part / f'coco/{split}.json').write_text(json.dumps(to_coco(scenes)))


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


def write_table(runs: list[Run], work_dir: Path) -> None:
    """Print the table, and write it as dense.md and dense.json."""
    rows = []
    for run in runs:
        start = 'random weights' if run.after is None else 'single digits'
        rows += [[run.config, start, name, f'{value:.1f} %', f'{run.seconds:.0f}']
                 for name, value in run.metrics().items()]
    write_results(work_dir, 'dense', ['model', 'Swin from', 'metric', 'value', 'seconds'], rows,
                  [run.record() for run in runs])


def run_scenes(work_dir: Path, iterations: int | None = None) -> None:
    """Write the scenes, pretrain, train four models and show what they reached.

    Args:
        work_dir: Where everything goes.
        iterations: Training steps of every model; None for those of `ITERATIONS`.
    """
    steps = {config: iterations or number for config, number in ITERATIONS.items()}
    singles, scenes = work_dir / 'singles', work_dir / 'scenes'
    write_singles(singles)
    write_scenes(scenes)
    swin = Run('swin', work_dir / 'swin', singles, steps['swin'], validations=1)
    pretrained = {'model.backbone.init_cfg.checkpoint': swin.checkpoint}
    runs = []
    for config, folder in (('detector', 'coco'), ('segmentor', 'ade')):
        for start, options, after in (('pretrained', pretrained, swin),
                                      ('random', {'model.backbone.init_cfg': None}, None)):
            runs.append(Run(config, work_dir / f'{config}_{start}', scenes / folder, steps[config],
                            dict(options), after=after, validations=1))
    train([swin, *runs], 'Swin, detectors, segmentors')
    write_table(runs, work_dir)
    console.print(f'Written to {work_dir}/: dense.md and dense.json.')
