"""The cases of ``vit-plugin benchmark``: what they are, and what they print."""
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vit_plugin.backbones.archs import DEIT, SWIN
from vit_plugin.errors import UserError

from . import growth, loading
from .measure import Step, cpu_seconds, flops, in_turns, peak_bytes, seconds, summarise
from .operators import operators
from .runtimes import measure_runtimes
from .steps import Bench

SWINS = tuple(f'swin-{arch}' for arch in SWIN)
SWINS_V2 = tuple(f'swinv2-{arch}' for arch in SWIN)
DEITS = tuple(arch for arch in DEIT if arch.startswith('deit-'))
# Work -> the models it is for.
MODELS = {
    **dict.fromkeys(('forward', 'train', 'memory', 'forward-memory', 'grow-size', 'grow-batch'),
                    SWINS + SWINS_V2 + DEITS),
    'grow-window': SWINS,
    'teacher': DEITS, 'distil': SWINS, 'distil-memory': SWINS, 'load': tuple(loading.RECIPES)}
CASES = {
    'cpu': ['forward:swin-tiny:224:4', 'forward:swin-tiny:512:1', 'forward:swin-tiny:800:1',
            'forward:swin-tiny:800x1333:2', 'forward:swin-base:224:4', 'forward:swinv2-tiny:256:4',
            'forward:swinv2-tiny:800:1', 'forward:deit-small:224:4', 'train:swinv2-tiny:256:8',
            'train:swin-tiny:224:8', 'train:deit-small:224:8', 'memory:swin-tiny:224:8',
            'memory:deit-small:224:8', 'forward-memory:swin-tiny:224:4',
            'forward-memory:swin-tiny:800:1', 'forward-memory:deit-small:224:4',
            'teacher:deit-small:224:2', 'grow-size:swin-tiny:1600:1', 'grow-size:deit-small:896:1',
            'grow-batch:swin-tiny:224:32', 'grow-window:swin-tiny:672:1',
            'load:imagenet:224:48', 'load:ade20k:512:24', 'load:coco:800:24',
            'load:coco-multi-scale:800:24', 'load:coco-jitter:1024:24'],
    'cuda': ['forward:swin-tiny:224:128', 'forward:swin-small:224:128', 'forward:swin-tiny:800:1',
             'forward:swinv2-tiny:256:128', 'forward:deit-small:224:128',
             'train:swinv2-tiny:256:128', 'train:swin-tiny:224:128', 'train:swin-small:224:128',
             'train:deit-small:224:128', 'memory:swin-tiny:224:128', 'memory:deit-small:224:128',
             'teacher:deit-small:224:128', 'grow-size:swin-tiny:1600:1',
             'grow-size:deit-small:1600:1', 'grow-batch:swin-tiny:224:32',
             'grow-window:swin-tiny:672:1'],
}
PROFILED = ['forward:swin-tiny:224:4', 'forward:swin-tiny:512:1', 'forward:swin-tiny:800:1',
            'forward:deit-small:224:4', 'train:swin-tiny:224:8', 'train:deit-small:224:8']


def choose_cases(names: list[str], known: list[str]) -> list[str]:
    """The cases that names stand for: themselves, or the known ones that begin with them.

    Raises:
        UserError: one is no case.
    """
    cases = []
    for name in names:
        cases += [case for case in known if case.startswith(f'{name}:')] or [name]
    for case in cases:
        parse(case)
    return cases or known


def parse(case: str) -> tuple[str, str, tuple[int, int], int]:
    """Work, model, (height, width) and batch of a case.

    Raises:
        UserError: it is no case.
    """
    work, *rest = case.split(':')
    if work not in MODELS:
        raise UserError(f"'{case}': there is no work '{work}', but {', '.join(MODELS)}")
    found = re.fullmatch(r'([^:]+):([1-9]\d*)(?:x([1-9]\d*))?:([1-9]\d*)', ':'.join(rest))
    if not found or found[1] not in MODELS[work]:
        raise UserError(f"'{case}' must be {work}:MODEL:SIZE:BATCH, with a MODEL among "
                        f"{', '.join(MODELS[work])}, e.g. {work}:{MODELS[work][0]}:224:4")
    name, height, width, batch = found.groups()
    size = (int(height), int(width or height))
    growth.check(case, work, size, int(batch))
    return work, name, size, int(batch)


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table in Markdown."""
    for cells in (head, ['---'] * len(head), *rows):
        print(f'| {" | ".join(cells)} |')


def profile_case(bench: Bench, case: str, gemm: float, copy: float) -> dict[str, Any]:
    """Print where the time of the plugin's step goes."""
    step = bench.steps(*parse(case))['plugin']
    step(), step()
    rows = operators(step, gemm, copy)
    total = dict(kind='all', seconds=sum(row['seconds'] for row in rows),
                 floor=sum(row['floor'] for row in rows))
    print()
    print_table([case, 'ms', 'share', 'least ms'], [
        [row['kind'], f'{1000 * row["seconds"]:.1f}', f'{row["seconds"] / total["seconds"]:.0%}',
         f'{1000 * row["floor"]:.1f}'] for row in [*rows, total]])
    return dict(case=case, operators=rows)


def measure(bench: Bench, work: str, steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in every round; bytes, in three rounds, where the work is memory."""
    if work.endswith('memory'):
        return in_turns(steps, partial(peak_bytes, device=bench.device), 3)
    if work == 'load':
        return in_turns(steps, cpu_seconds, rounds)
    return in_turns(steps, partial(seconds, device=bench.device), rounds)


def run_case(bench: Bench, case: str, rounds: int, gemm: float) -> dict[str, Any]:
    """Measure one case and print it, or what it lacks."""
    work, name, size, batch = parse(case)
    if work.startswith('grow-'):
        return run_growth(bench, case, rounds)
    print()
    threads = torch.get_num_threads()
    try:
        steps = bench.steps(work, name, size, batch)
        values = measure(bench, work, steps, rounds)
        if bench.runtimes and work == 'forward':
            values |= measure_runtimes(*bench.example(name, size, batch), bench.dtype, rounds)
    except (ImportError, FileNotFoundError) as error:
        print(f'{case} is left out: {error}')
        return dict(case=case, rows=[])
    finally:
        torch.set_num_threads(threads)
    is_memory = work.endswith('memory')
    unit, divisor = ('MiB', 2**20) if is_memory else ('ms per image', batch / 1000)
    rows = summarise(values, divisor)
    print_table([case, unit, 'quartiles', 'ratio'], [
        [row['title'], f'{row["median"]:.1f}', f'{row["low"]:.1f} – {row["high"]:.1f}',
         f'{row["ratio"]:.2f}'] for row in rows])
    result = dict(case=case, rows=rows)
    if work in ('forward', 'train'):
        rate = flops(steps['plugin']) / (rows[0]['median'] * batch / 1000)
        result['gemm_share'] = rate / gemm
        print(f'  the plugin reaches {100 * rate / gemm:.0f} % of the matrix rate')
    return result


def run_growth(bench: Bench, case: str, rounds: int) -> dict[str, Any]:
    """Measure how inference grows, and print it."""
    print()
    bench = replace(bench, libraries=growth.PEERS)
    rows, slopes = growth.measure_growth(bench, growth.points(bench, *parse(case)), rounds)
    table = []
    for row in rows:
        times = [f'{1000 * value:.0f}' for value in row.seconds.values()]
        memory = [f'{value / 2**20:.0f}' for value in row.bytes.values()]
        table.append([row.title, *times, *memory])
    exponents = [*slopes.seconds.values(), *slopes.bytes.values()]
    table.append([slopes.title, *(f'{value:.2f}' for value in exponents)])
    head = [f'{library}, {unit}' for unit in ('ms', 'MiB') for library in slopes.seconds]
    print_table([case, *head], table)
    return dict(case=case, rows=[row._asdict() for row in (*rows, slopes)])


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw the ratios of every forward and training case, and the cost over the image size."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 4.5), layout='constrained')
    left, right = figure.subplots(1, 2)
    for result in results:
        work, name, *_ = result['case'].split(':')
        rows = result['rows']
        if work in ('forward', 'train'):
            left.barh([f'{result["case"]}  {row["title"]}' for row in rows[1:]],
                      [row['ratio'] for row in rows[1:]], color='C0')
        if work == 'grow-size':
            sides = [int(row['title'].split()[0]) for row in rows[:-1]]
            right.plot([side**2 / 1e6 for side in sides],
                       [1000 * row['seconds']['plugin'] for row in rows[:-1]],
                       marker='o', label=name)
    left.axvline(1, color='black')
    left.invert_yaxis()
    left.tick_params(axis='y', labelsize=6)
    left.set_xlabel("time over the plugin's")
    right.set(xlabel='megapixels', ylabel='ms per batch', title='Cost over image size')
    right.legend()
    figure.savefig(path, dpi=120)
