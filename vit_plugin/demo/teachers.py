"""The long half of the quickstart: what do a teacher's features teach, and larger models?

- A Swin learns the features of a ConvNet on digits without labels, and then 100 labels. The
  ConvNet has seen no digit of these: it learnt scikit-learn's, of other writers and other pixels.
- A small Mask R-CNN learns from the larger one of `scenes` beside its boxes and masks (PKD), a
  small UPerNet beside its label maps (CWD).

Each with and without the teacher: the same student, the same steps, several seeds from 0 on.
Weights of the losses are their defaults, which are published ones. The Swin's learning rate, of
two, was chosen without a teacher on seed 10; nothing else was chosen by results.
"""
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vit_plugin.errors import UserError

from .digits import Run, console, mean_of, options, train, write_images, write_table
from .scenes import DenseRun

ITERATIONS = {'teacher_resnet': 300, 'swin_unlabelled': 200, 'swin_few': 150,
              'detector_small': 80, 'segmentor_small': 150}
LARGER = {'detector': 'detector_pretrained', 'segmentor': 'segmentor_pretrained'}


@dataclass
class Row:
    """One way to train a student, several times."""

    title: str
    runs: list[DenseRun]
    without: 'Row | None' = None  # what it is compared with

    def values(self, metric: str) -> list[float]:
        """The metric of every seed, in percent."""
        return [run.metrics()[metric] for run in self.runs]

    def verdict(self, metric: str) -> str:
        """The difference to the row without, and whether every seed is better than all of those."""
        if self.without is None:
            return ''
        own, others = self.values(metric), self.without.values(metric)
        difference = statistics.mean(own) - statistics.mean(others)
        word = 'helped' if min(own) > max(others) else \
            'did not help' if difference <= 0 else 'may be chance'
        return f'{difference:+.1f}: {word}'


def write_other_digits(folder: Path, val: Path) -> None:
    """Write scikit-learn's 1,797 digits as MNIST's are, 20x20 pixels in 28x28; ``val`` beside."""
    if folder.exists():
        return
    from sklearn.datasets import load_digits
    unfinished = folder.with_name(f'{folder.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    digits = load_digits()
    for i, (pixels, digit) in enumerate(zip(digits.images, digits.target)):
        target = unfinished / 'teacher' / str(digit)
        target.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
        picture = Image.new('L', (28, 28))
        picture.paste(image.resize((20, 20), Image.Resampling.BICUBIC), (4, 4))
        picture.save(target / f'{i:04d}.png')
    shutil.copytree(val, unfinished / 'val')
    unfinished.rename(folder)


def unlabelled_rows(work_dir: Path, seeds: int, steps: dict[str, int]) -> tuple[Run, list[Row]]:
    """The ConvNet, and a Swin that has few labels: alone, alone for longer, and after it."""
    data, others = work_dir / 'data', work_dir / 'other_data'
    write_images(data)
    write_other_digits(others, data / 'val')
    teacher = DenseRun('teacher_resnet', 0, work_dir / 'other_teacher', others,
                       steps['teacher_resnet'], options(steps['teacher_resnet']))
    checkpoint = {'model.teacher.checkpoint': teacher.work_dir / 'final.pth'}
    before, few = steps['swin_unlabelled'], steps['swin_few']
    features = [DenseRun('swin_unlabelled', seed, work_dir / f'swin_unlabelled_seed{seed}', data,
                         before, {**options(before), **checkpoint}, teacher)
                for seed in range(seeds)]

    def students(name: str, iterations: int, after: list[DenseRun] | None = None) -> list[DenseRun]:
        return [DenseRun('swin_few', seed, work_dir / f'swin_{name}_seed{seed}', data, iterations, {
            **options(iterations), 'train_cfg.val_interval': iterations,
            **({'model.backbone.init_cfg.type': 'Pretrained',
                'model.backbone.init_cfg.checkpoint': after[seed].work_dir / 'final.pth'}
               if after else {})}, after[seed] if after else None) for seed in range(seeds)]

    scratch = Row(f'Swin, {few} steps on 100 labels', students('few', few))
    longer = Row(f'Swin, {before + few} steps on 100 labels', students('longer', before + few))
    return teacher, [scratch, longer, Row(
        f'Swin, {before} steps of features without labels, then {few} on 100 labels',
        students('pretrained', few, features), longer)]


def larger_rows(work_dir: Path, seeds: int, task: str, loss: str, title: str,
                steps: dict[str, int]) -> list[Row]:
    """A small detector or segmentor, alone and from the larger one of `scenes`."""
    teacher = work_dir / LARGER[task] / 'final.pth'
    if not teacher.is_file():
        raise UserError(f"there is no teacher '{teacher}': run `vit-plugin demo scenes` first")
    iterations = steps[f'{task}_small']
    data = work_dir / 'scenes' / ('coco' if task == 'detector' else 'ade')
    settings = {**options(iterations), 'train_cfg.val_interval': iterations}
    alone, distilled = ([DenseRun(config, seed, work_dir / f'{config}_seed{seed}', data, iterations,
                                  {**settings, **more}) for seed in range(seeds)]
                        for config, more in ((f'{task}_small', {}), (
                            f'{task}_{loss}', {'model.teacher.checkpoint': teacher})))
    without = Row(f'{title}, alone', alone)
    return [without, Row(f'{title}, from the larger ({loss.upper()})', distilled, without)]


def report(rows: list[Row], work_dir: Path) -> None:
    """Print the table, and write it as teachers.md and teachers.json."""
    cells = [[row.title, metric, mean_of(row.values(metric)), str(len(row.runs)),
              f'{statistics.mean(run.seconds for run in row.runs):.0f}', row.verdict(metric)]
             for row in rows for metric in row.runs[0].metrics()]
    write_table(work_dir, 'teachers', ['student', 'metric', 'value', 'seeds', 'seconds each',
                                       'with − without'], cells,
                [dict(model=row.title, **run.result(), **run.metrics())
                 for row in rows for run in row.runs])
    console.print('Mean ± standard deviation over the seeds. "helped": every seed with the teacher '
                  'is better than every seed without; "may be chance": only their mean is.')


def run_teachers(work_dir: Path, iterations: int | None = None, seeds: int = 3) -> None:
    """Train all students with and without their teachers, and report.

    Args:
        work_dir: Where everything goes, and where `scenes` left its models.
        iterations: Training steps of every model; None for those of `ITERATIONS`.
        seeds: Runs of each student.

    Raises:
        UserError: `scenes` left no models there.
    """
    steps = {config: iterations or number for config, number in ITERATIONS.items()}
    larger = [*larger_rows(work_dir, seeds, 'detector', 'pkd', 'small Mask R-CNN', steps),
              *larger_rows(work_dir, seeds, 'segmentor', 'cwd', 'small UPerNet', steps)]
    teacher, unlabelled = unlabelled_rows(work_dir, seeds, steps)
    rows = [*unlabelled, *larger]
    before = [run.after for run in unlabelled[-1].runs if run.after is not None]
    train([teacher, *before, *(run for row in rows for run in row.runs)], 'Students of teachers')
    report(rows, work_dir)
