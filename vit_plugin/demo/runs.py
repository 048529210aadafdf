"""The demo's runs, each an ordinary ``vit-plugin train``, and the table of what they reached."""
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vit_plugin.errors import UserError
from vit_plugin.pictures.curves import METRICS, Curves, read_curves

console = Console()


@dataclass
class Run:
    """One ``vit-plugin train`` with a config of configs/quickstart."""

    config: str
    work_dir: Path
    data: Path
    iterations: int
    options: dict[str, object] = field(default_factory=dict)
    seed: int = 0
    after: 'Run | None' = None  # it needs that one's weights
    validations: int = 6
    process: subprocess.Popen | None = None
    started: float = 0.
    seconds: float = 0.

    @property
    def checkpoint(self) -> Path:
        """Its weights, once it has finished."""
        return self.work_dir / 'final.pth'

    def command(self) -> list[str]:
        """The command that a user would type."""
        steps, warmup = self.iterations, max(1, self.iterations // 10)
        options = {
            'randomness.seed': self.seed, 'train_cfg.max_iters': steps,
            'param_scheduler.1.T_max': steps, 'param_scheduler.0.end': warmup,
            'param_scheduler.1.begin': warmup,
            'train_cfg.val_interval': max(1, steps // self.validations),
            'default_hooks.checkpoint.interval': steps, **self.options}
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

    def curves(self) -> Curves:
        """All that was logged since it was started."""
        return read_curves(self.work_dir, self.started)

    def step(self) -> int:
        """The iteration it has reached."""
        steps = self.curves().get('step')
        return steps[-1][0] if steps else 0

    def metrics(self) -> dict[str, float]:
        """Metrics of the last validation in percent; empty where there was none."""
        curves = self.curves()
        return {name: curves[name][-1][1] for name in METRICS if name in curves}

    def record(self) -> dict[str, object]:
        """Name, seed, time, command and metrics."""
        return dict(work_dir=self.work_dir.name, seed=self.seed, seconds=round(self.seconds, 1),
                    command=' '.join(self.command()[1:]), **self.metrics())


def with_seeds(run: Run, seeds: int) -> list[Run]:
    """The same run with seeds from 0 on, each in a folder of its own."""
    return [replace(run, seed=seed, work_dir=Path(f'{run.work_dir}_seed{seed}'))
            for seed in range(seeds)]


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
                    first = ''.join(f'{value:.1f} % ' for value in [*run.metrics().values()][:1])
                    console.print(f'  {run.work_dir.name}: {first}after {run.seconds:.0f} s')
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


def mean_seconds(runs: list[Run]) -> str:
    """The seconds of a run."""
    return f'{statistics.mean(run.seconds for run in runs):.0f}'


def write_results(folder: Path, name: str, head: list[str], rows: list[list[str]],
                  records: list[dict[str, object]]) -> None:
    """Print a table, and write it as ``name``.md, and with the ``records`` of its runs as .json."""
    table = Table(*head)
    for cells in rows:
        table.add_row(*cells)
    console.print(table)
    lines = [f'| {" | ".join(cells)} |\n' for cells in (head, ['---'] * len(head), *rows)]
    (folder / f'{name}.md').write_text(''.join(lines))
    (folder / f'{name}.json').write_text(json.dumps(dict(head=head, rows=rows, runs=records),
                                                    indent=1))
