"""Training curves of one or more runs, from what mmengine logged."""
import json
import os
from pathlib import Path

from matplotlib import pyplot
from matplotlib.figure import Figure

from vit_plugin.errors import shorten

from .drawing import finish
from .subject import PictureError

# Metrics that are drawn, and the factor that makes each percent.
METRICS = {'accuracy/top1': 1, 'coco/bbox_mAP': 100, 'coco/bbox_mAP_50': 100,
           'coco/segm_mAP': 100, 'mIoU': 1}
PERCENT = {**METRICS, 'agreement': 100}
FEW = 50  # points of a line that are marked
Curves = dict[str, list[tuple[int, float]]]


def read_log(work_dir: Path) -> list[dict]:
    """The entries of a run in the order of training; a resumed run wins over what it replaced.

    Raises:
        PictureError: there is no log.
    """
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    entries: list[dict] = []
    for log in logs:
        lines = log.read_text().splitlines()
        new = [json.loads(line) for line in lines if line.endswith('}')]  # the last may be cut off
        first = next((entry['step'] for entry in new if 'loss' in entry), None)
        if first is not None:
            replaced = (i for i, entry in enumerate(entries)
                        if 'loss' in entry and entry['step'] >= first)
            entries = entries[:next(replaced, len(entries))]
        entries += new
    if not entries:
        raise PictureError(f"'{work_dir}' holds no log of mmengine "
                           '(<time>/vis_data/scalars.json): give the work dir of a training')
    return entries


def read_curves(work_dir: Path) -> Curves:
    """(iteration, value) of every number that was logged in training or validation.

    Validations count epochs in epoch-based training: they get the iteration logged before them.
    """
    curves: Curves = {}
    iteration = 0
    for entry in read_log(work_dir):
        iteration = max(iteration, entry['step'])
        for key, value in entry.items():
            if isinstance(value, (int, float)):
                curves.setdefault(key, []).append((iteration, value * PERCENT.get(key, 1)))
    return curves


def panels(runs: dict[str, Curves]) -> list[tuple[str, list[str]]]:
    """The title and the keys of each panel for which some run has numbers."""
    logged = {key: None for curves in runs.values() for key in curves}
    parts = [key for key in logged if 'loss' in key and key != 'loss']
    losses = ['loss', *(parts if len(runs) == 1 else [])]
    metrics = [key for key in METRICS if key in logged]
    metric = metrics[0] if len(metrics) == 1 else 'metrics'
    wanted = [('loss in training', losses), (f'{metric} in validation (%)', metrics),
              ('learning rate', ['lr']), ('agreement with the teacher (%)', ['agreement'])]
    found = [(title, [key for key in keys if key in logged]) for title, keys in wanted]
    return [(title, keys) for title, keys in found if keys]


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
        ends = (path.parts[-count:] for count in range(1, len(path.parts) + 1))
        runs['/'.join(next(end for end in ends if sum(
            other.parts[-len(end):] == end for other in paths) == 1))] = path
    return runs


def check_known(run: Path, curves: Curves, shown: list[tuple[str, list[str]]]) -> None:
    """Raise `PictureError` if no panel shows a number of this run."""
    if not any(key in curves for _, keys in shown for key in keys):
        raise PictureError(
            f"the log of '{run}' has none of the numbers that are drawn (loss, lr, agreement, "
            f'{", ".join(METRICS)}), it logged: {shorten(curves, 20)}')


def draw(work_dirs: list[str]) -> Figure:
    """A panel each for losses, metrics, learning rate and teacher agreement; a colour a run."""
    folders = label_runs(work_dirs)
    runs = {label: read_curves(folder) for label, folder in folders.items()}
    shown = panels(runs)
    for label, folder in folders.items():
        check_known(folder, runs[label], shown)
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = pyplot.subplots(rows, columns, squeeze=False, layout='constrained',
                                   figsize=(5.2 * columns, 3.2 * rows + 0.6))
    for axis in axes.flat[len(shown):]:
        axis.axis('off')
    styles = ('-', '--', ':', '-.')
    for axis, (title, keys) in zip(axes.flat, shown):
        for i, (run, curves) in enumerate(runs.items()):
            for j, key in enumerate(key for key in keys if key in curves):
                # Runs differ in colour and numbers in style; one run's numbers in colour.
                colour, style = (f'C{j}', '-') if len(runs) == 1 else (f'C{i}', styles[j % 4])
                label = ', '.join(([run] if len(runs) > 1 else []) + [key] * (len(keys) > 1))
                axis.plot(*zip(*curves[key]), style, color=colour, label=label or None,
                          marker='.' if len(curves[key]) < FEW else None)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel='iteration', xlim=(0, None))
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7)
    return finish(figure, 'Training of ' + ', '.join(runs), '')
