"""Training curves of one or more runs, from what mmengine logged."""
import json
import os
from collections.abc import Iterable
from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vit_plugin.errors import shorten

from .drawing import finish
from .subject import PictureError

# Metrics that are drawn, and the factor that makes each percent.
METRICS = {'accuracy/top1': 1, 'coco/bbox_mAP_50': 100, 'coco/bbox_mAP': 100,
           'coco/segm_mAP': 100, 'mIoU': 1}
PERCENT = {**METRICS, 'agreement': 100}
FEW = 50  # points of a line that are marked
STYLES = ('-', '--', ':', '-.')
Curves = dict[str, list[tuple[int, float]]]


def read_log(work_dir: Path, since: float = 0.) -> list[dict]:
    """The entries of a run in the order of training; a resumed run wins over what it replaced.

    Args:
        work_dir: Work dir of a training.
        since: Time, in seconds as `time.time`; logs that were last written to before are ignored.
    """
    logs = [log for log in work_dir.glob('*/vis_data/scalars.json')
            if log.stat().st_mtime >= since]
    entries: list[dict] = []
    for log in sorted(logs):
        lines = log.read_text().splitlines()
        new = [json.loads(line) for line in lines if line.endswith('}')]  # the last may be cut off
        steps = [entry['step'] for entry in new if 'loss' in entry]
        for i, entry in enumerate(entries):
            if steps and 'loss' in entry and entry['step'] >= steps[0]:
                entries = entries[:i]
                break
        entries += new
    return entries


def read_curves(work_dir: Path, since: float = 0.) -> Curves:
    """(iteration, value) of every number that was logged in training or validation.

    Validations count epochs in epoch-based training: they get the iteration logged before them.
    Metrics and agreement are in percent.
    """
    curves: Curves = {}
    iteration = 0
    for entry in read_log(work_dir, since):
        iteration = max(iteration, entry['step'])
        for key, value in entry.items():
            if isinstance(value, (int, float)):
                curves.setdefault(key, []).append((iteration, value * PERCENT.get(key, 1)))
    return curves


def panels(runs: Iterable[Curves]) -> dict[str, list[str]]:
    """Title -> keys of each panel for which some run has numbers."""
    runs = list(runs)
    logged: dict[str, None] = {}  # keeps the order
    for curves in runs:
        logged.update(dict.fromkeys(curves))
    losses = ['loss']
    if len(runs) == 1:
        losses += [key for key in logged if 'loss' in key and key != 'loss']
    metrics = [key for key in METRICS if key in logged]
    metric = metrics[0] if len(metrics) == 1 else 'metrics'
    wanted = {'loss in training': losses, f'{metric} in validation (%)': metrics,
              'learning rate': ['lr'], 'agreement with the teacher (%)': ['agreement']}
    found = {}
    for title, keys in wanted.items():
        found[title] = [key for key in keys if key in logged]
    return {title: keys for title, keys in found.items() if keys}


def label_runs(work_dirs: list[str]) -> dict[str, Path]:
    """Runs by the fewest last parts of their paths that tell them from all others.

    Raises:
        PictureError: two are the same folder.
    """
    paths = [Path(os.path.abspath(folder)) for folder in work_dirs]
    runs = {}
    for path in paths:
        if paths.count(path) > 1:
            raise PictureError(f"the work dir '{path}' is given twice: give each run once")
        for count in range(1, len(path.parts) + 1):
            ends = [other.parts[-count:] for other in paths]
            if ends.count(path.parts[-count:]) == 1:
                break
        runs['/'.join(path.parts[-count:])] = path
    return runs


def check_log(run: Path, curves: Curves, shown: dict[str, list[str]]) -> None:
    """Raise `PictureError` if no panel shows a number of this run."""
    if not curves:
        raise PictureError(f"'{run}' holds no log of mmengine "
                           '(<time>/vis_data/scalars.json): give the work dir of a training')
    if not curves.keys() & set().union(*shown.values()):
        raise PictureError(
            f"the log of '{run}' has none of the numbers that are drawn (loss, lr, agreement, "
            f'{", ".join(METRICS)}), it logged: {shorten(curves, 20)}')


def draw(work_dirs: list[str]) -> Figure:
    """A panel each for losses, metrics, learning rate and teacher agreement; a colour a run."""
    folders = label_runs(work_dirs)
    runs = {label: read_curves(folder) for label, folder in folders.items()}
    shown = panels(runs.values())
    for label, folder in folders.items():
        check_log(folder, runs[label], shown)
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = pyplot.subplots(rows, columns, squeeze=False, layout='constrained',
                                   figsize=(5.2 * columns, 3.2 * rows + 0.6))
    for axis, (title, keys) in zip(axes.flat, shown.items()):
        draw_panel(axis, runs, keys)
        axis.set_title(title, fontsize=10)
    return finish(figure, 'Training of ' + ', '.join(runs), '')


def draw_panel(axis: Axes, runs: dict[str, Curves], keys: list[str]) -> None:
    """Runs differ in colour and their numbers in style; one run's numbers in colour."""
    for i, (run, curves) in enumerate(runs.items()):
        for j, key in enumerate(key for key in keys if key in curves):
            names = [run] if len(runs) > 1 else []
            if len(keys) > 1:
                names.append(key)
            colour, style = (f'C{i}', STYLES[j % 4]) if len(runs) > 1 else (f'C{j}', '-')
            marker = '.' if len(curves[key]) < FEW else None
            axis.plot(*zip(*curves[key]), style, color=colour, label=', '.join(names) or None,
                      marker=marker)
    axis.set(xlabel='iteration', xlim=(0, None))
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)
