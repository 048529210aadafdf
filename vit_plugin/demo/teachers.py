"""The long half of the quickstart: what does a teacher teach without labels, and larger models?

- A Swin learns from a ConvNet how alike digits are, without labels, and then few labels. The
  ConvNet has seen no digit of these: it learnt scikit-learn's, of other writers and other pixels.
- A small Mask R-CNN learns from the larger one of `scenes` beside its boxes and masks, a small
  UPerNet beside its label maps (CWD).

Each with and without the teacher: the same student, the same steps, several seeds from 0 on.
Weights of the losses are published ones. The learning rates of the Swin and of the Mask R-CNN were
chosen without a teacher on seed 10, the Mask R-CNN's loss by what several reached, which is in
docs/distillation.md; nothing else was chosen by results.
"""
import shutil
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from vit_plugin.errors import UserError
from vit_plugin.files import folder_written_whole

from .digits import save, write_images
from .runs import Run, console, mean_of, mean_seconds, train, with_seeds, write_results

ITERATIONS = {'teacher_resnet': 300, 'swin_unlabelled': 200, 'swin_few': 150,
              'detector_small': 80, 'segmentor_small': 150}
FEW = (100, 500, 2000)  # labels
LARGER = {'detector': 'detector_pretrained', 'segmentor': 'segmentor_pretrained'}


@dataclass
class Row:
    """One way to train a student, several times."""

    title: str
    runs: list[Run]
    without: 'Row | None' = None  # what it is compared with

    def values(self, metric: str) -> list[float]:
        """The metric of every seed, in percent."""
        return [run.metrics()[metric] for run in self.runs]

    def verdict(self, metric: str) -> str:
        """The difference to the row without, and if every seed is better than all of those."""
        if self.without is None:
            return ''
        own, others = self.values(metric), self.without.values(metric)
        difference = statistics.mean(own) - statistics.mean(others)
        word = 'did not help' if difference <= 0 else 'may be chance'
        if min(own) > max(others):
            word = 'helped'
        return f'{difference:+.1f}: {word}'


def write_other_digits(folder: Path, val: Path) -> None:
    """Write scikit-learn's 1,797 digits as MNIST's are, 20x20 pixels in 28x28; ``val`` beside."""
    if folder.exists():
        return
    from sklearn.datasets import load_digits
    digits = load_digits()
    with folder_written_whole(folder) as part:
        for i, (pixels, digit) in enumerate(zip(digits.images, digits.target)):
            image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
            enlarged = np.asarray(image.resize((20, 20), Image.Resampling.BICUBIC))
            save(np.pad(enlarged, 4), part / 'teacher' / str(digit) / f'{i:04d}.png')
        shutil.copytree(val, part / 'val')


def unlabelled_rows(work_dir: Path, seeds: int, steps: dict[str, int]
                    ) -> tuple[list[Run], list[Row]]:
    """A Swin on few labels: for as many steps as it gets in all, and after a ConvNet's lessons.

    Before the rows, the runs without labels.
    """
    data, others = work_dir / 'data', work_dir / 'other_data'
    write_images(data)
    write_other_digits(others, data / 'val')
    before, few = steps['swin_unlabelled'], steps['swin_few']
    teacher = Run('teacher_resnet', work_dir / 'other_teacher', others, steps['teacher_resnet'])
    unlabelled = with_seeds(
        Run('swin_unlabelled', work_dir / 'swin_unlabelled', data, before,
            {'model.teacher.checkpoint': teacher.checkpoint}, after=teacher), seeds)
    rows = []
    for labels in FEW:
        labelled = work_dir / f'data_{labels}'
        write_images(labelled, labels)
        longer = Run('swin_few', work_dir / f'swin_{labels}', labelled, before + few, validations=1)
        shorter = replace(longer, work_dir=work_dir / f'swin_{labels}_pretrained', iterations=few)
        pretrained = with_seeds(shorter, seeds)
        for run, first in zip(pretrained, unlabelled):
            run.after = first
            run.options = {'model.backbone.init_cfg.type': 'Pretrained',
                           'model.backbone.init_cfg.checkpoint': first.checkpoint}
        without = Row(f'Swin, {before + few} steps on {labels:,} labels', with_seeds(longer, seeds))
        rows += [without, Row(f'Swin, {before} steps without labels, then {few} on {labels:,}',
                              pretrained, without)]
    return [teacher, *unlabelled], rows


def larger_rows(work_dir: Path, seeds: int, task: str, title: str, steps: dict[str, int]
                ) -> list[Row]:
    """A small detector or segmentor, alone and from the larger one of `scenes`."""
    teacher = work_dir / LARGER[task] / 'final.pth'
    if not teacher.is_file():
        raise UserError(f"there is no teacher '{teacher}': run `vit-plugin demo scenes` first")
    data = work_dir / 'scenes' / ('coco' if task == 'detector' else 'ade')
    alone = Run(f'{task}_small', work_dir / f'{task}_small', data, steps[f'{task}_small'],
                validations=1)
    distilled = replace(alone, config=f'{task}_cwd', work_dir=work_dir / f'{task}_cwd',
                        options={'model.teacher.checkpoint': teacher})
    without = Row(f'{title}, alone', with_seeds(alone, seeds))
    return [without, Row(f'{title}, from the larger (CWD)', with_seeds(distilled, seeds), without)]


def write_table(rows: list[Row], work_dir: Path) -> None:
    """Print the table, and write it as teachers.md and teachers.json."""
    cells, records = [], []
    for row in rows:
        for metric in row.runs[0].metrics():
            cells.append([row.title, metric, mean_of(row.values(metric)), str(len(row.runs)),
                          mean_seconds(row.runs), row.verdict(metric)])
        records += [dict(model=row.title, **run.record()) for run in row.runs]
    write_results(work_dir, 'teachers', ['student', 'metric', 'value', 'seeds', 'seconds each',
                                         'with − without'], cells, records)
    console.print('Mean ± standard deviation over the seeds. "helped": every seed with the teacher '
                  'is better than every seed without; "may be chance": only their mean is.')


def run_teachers(work_dir: Path, iterations: int | None = None, seeds: int = 3) -> None:
    """Train all students with and without their teachers, and show what came out.

    Args:
        work_dir: Where everything goes, and where `scenes` left its models.
        iterations: Training steps of every model; None for those of `ITERATIONS`.
        seeds: Runs of each student.

    Raises:
        UserError: `scenes` left no models there.
    """
    steps = {config: iterations or number for config, number in ITERATIONS.items()}
    larger = [*larger_rows(work_dir, seeds, 'detector', 'small Mask R-CNN', steps),
              *larger_rows(work_dir, seeds, 'segmentor', 'small UPerNet', steps)]
    runs, unlabelled = unlabelled_rows(work_dir, seeds, steps)
    rows = [*unlabelled, *larger]
    for row in rows:
        runs += row.runs
    train(runs, 'Students of teachers')
    write_table(rows, work_dir)
