"""How fast the backbones are beside those of other libraries, as ratios within one run.

Every case builds the same model with the plugin and with each library that is installed and times
them in turns: in each round every one of them once, in changing order. A ratio is the time over the
plugin's in the same round: above 1, the plugin is faster. Where the plugin can read a library's
weights, outputs are compared too. Needs torch and mmengine; libraries that are absent are named.

A case is WORK:MODEL:SIZE:BATCH, or WORK alone for its cases among those that run by default. WORK
is one of

    forward   inference
    train     forward, backward and AdamW step
    memory    the most memory that forward and backward take above weights and gradients
    forward-memory    the most memory that inference takes above weights
    teacher   a training step distilled from timm's RegNetY-16GF, with its scores computed and with
              its scores stored, beside one without a teacher
    distil    a training step of a Swin with a Swin-S teacher and each kind of loss, over one with
              the teacher's forward alone; and without a teacher
    distil-memory  what `memory` counts of the same, over plain training
    curve     inference of the plugin at sizes up to SIZE; Swin's cost is linear in the pixels
    load      BATCH images from file to augmented tensor, in CPU time of one core; MODEL is a
              recipe of vit_plugin/benchmark/loading.py, the files are those of --images

and SIZE the side of square images or HEIGHTxWIDTH. With --profile the plugin's own time of forward
and train cases is shown by kind of operator, beside the least that these could take.

Usage: vit-plugin benchmark [CASE ...] [--device cuda] [--dtype bfloat16] [--cast] [--int8]
           [--compile] [--cuda-graph] [--profile] [--images FOLDER] [--rounds N] [--json FILE]
           [--plot FILE] [--debug]
"""
import argparse
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import torch

from vit_plugin.backbones.archs import DEIT, SWIN
from vit_plugin.benchmark import loading
from vit_plugin.benchmark.measure import Bench, flops, summarise
from vit_plugin.benchmark.operators import copy_rate, gemm_rate, operators
from vit_plugin.benchmark.peers import LIBRARIES, build
from vit_plugin.doctor import machine
from vit_plugin.errors import UserError

from .arguments import PICTURES, add_debug, positive
from .messages import explained

SWINS = tuple(f'swin-{arch}' for arch in SWIN)
DEITS = tuple(arch for arch in DEIT if arch.startswith('deit-'))
# Work -> the models it is for.
MODELS = {
    **dict.fromkeys(('forward', 'train', 'memory', 'forward-memory', 'curve'), SWINS + DEITS),
    'teacher': DEITS, 'distil': SWINS, 'distil-memory': SWINS, 'load': tuple(loading.RECIPES)}
CASES = {
    'cpu': ['forward:swin-tiny:224:4', 'forward:swin-tiny:512:1', 'forward:swin-tiny:800:1',
            'forward:swin-tiny:800x1333:2', 'forward:swin-base:224:4', 'forward:deit-small:224:4',
            'train:swin-tiny:224:8', 'train:deit-small:224:8', 'memory:swin-tiny:224:8',
            'memory:deit-small:224:8', 'forward-memory:swin-tiny:224:4',
            'forward-memory:swin-tiny:800:1', 'forward-memory:deit-small:224:4',
            'teacher:deit-small:224:2', 'curve:swin-tiny:896:1', 'curve:deit-small:896:1',
            'load:imagenet:224:48', 'load:ade20k:512:24', 'load:coco:800:24',
            'load:coco-multi-scale:800:24', 'load:coco-jitter:1024:24'],
    'cuda': ['forward:swin-tiny:224:128', 'forward:swin-small:224:128', 'forward:swin-tiny:800:1',
             'forward:deit-small:224:128', 'train:swin-tiny:224:128', 'train:swin-small:224:128',
             'train:deit-small:224:128', 'memory:swin-tiny:224:128', 'memory:deit-small:224:128',
             'teacher:deit-small:224:128', 'curve:swin-tiny:1333:1', 'curve:deit-small:1333:1'],
}
SIZES = (224, 320, 448, 640, 896, 1333)
PROFILED = ['forward:swin-tiny:224:4', 'forward:swin-tiny:512:1', 'forward:swin-tiny:800:1',
            'forward:deit-small:224:4', 'train:swin-tiny:224:8', 'train:deit-small:224:8']


def show(case: str, rows: list[dict[str, Any]], unit: str) -> None:
    """Print a table in Markdown."""
    print(f'| {case} | {unit} | quartiles | ratio |\n|---|---|---|---|')
    for row in rows:
        print(f'| {row["title"]:20} | {row["median"]:8.1f} | {row["low"]:8.1f} – '
              f'{row["high"]:<8.1f} | {row["ratio"]:.2f} |')


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
    return work, name, (int(height), int(width or height)), int(batch)


def profile_case(bench: Bench, case: str, gemm: float, copy: float) -> dict[str, Any]:
    """Print where the time of the plugin's step goes."""
    step = bench.steps(*parse(case))['plugin']
    step(), step()
    rows = operators(step, gemm, copy)
    total = sum(row['seconds'] for row in rows)
    print(f'\n| {case} | ms | share | least ms |\n|---|---|---|---|')
    for row in [*rows, dict(kind='all', seconds=total, floor=sum(row['floor'] for row in rows))]:
        print(f'| {row["kind"]} | {1000 * row["seconds"]:.1f} | {row["seconds"] / total:.0%} '
              f'| {1000 * row["floor"]:.1f} |')
    return dict(case=case, operators=rows)


def run_case(bench: Bench, case: str, gemm: float) -> dict[str, Any]:
    """Measure one case and print it, or what it lacks."""
    work, name, size, batch = parse(case)
    print()
    if work == 'curve':
        values: dict[str, list[float]] = {}
        for side in [side for side in SIZES if side <= size[0]]:
            model = build('plugin', name, (side, side)).to(bench.device).eval()
            step = bench.forward(model, torch.randn(batch, 3, side, side, device=bench.device))
            values |= bench.measure({f'{side} x {side}': step}, work)
    else:
        threads = torch.get_num_threads()
        try:
            steps = bench.steps(work, name, size, batch)
            values = bench.measure(steps, work)
        except (ImportError, FileNotFoundError) as error:
            print(f'{case} is left out: {error}')
            return dict(case=case, rows=[])
        finally:
            torch.set_num_threads(threads)
    rows = summarise(values, work, batch)
    show(case, rows, 'MiB' if work.endswith('memory') else 'ms per image')
    result = dict(case=case, rows=rows)
    if work in ('forward', 'train'):
        first = next(iter(steps.values()))
        rate = flops(first) / (rows[0]['median'] * batch / 1000)
        result['gemm_share'] = rate / gemm
        print(f'  the plugin reaches {100 * rate / gemm:.0f} % of the matrix rate')
    return result


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw the ratios of every forward and training case, and the cost over the image size."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 4.5), layout='constrained')
    left, right = figure.subplots(1, 2)
    bars = [(f'{result["case"]}  {row["title"]}', row['ratio']) for result in results
            if result['case'].split(':')[0] in ('forward', 'train') for row in result['rows'][1:]]
    left.barh([bar[0] for bar in bars], [bar[1] for bar in bars])
    left.axvline(1, color='black')
    left.invert_yaxis()
    left.tick_params(axis='y', labelsize=6)
    left.set_xlabel("time over the plugin's")
    for result in results:
        if result['case'].startswith('curve'):
            sides = [int(row['title'].split()[0]) for row in result['rows']]
            right.plot([side**2 / 1e6 for side in sides],
                       [row['median'] for row in result['rows']], marker='o',
                       label=result['case'].split(':')[1])
    right.set(xlabel='megapixels', ylabel='ms per image', title='Cost over image size')
    right.legend()
    figure.savefig(path, dpi=120)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time the backbones beside other libraries.')
    parser.add_argument('cases', nargs='*', metavar='CASE', help='WORK:MODEL:SIZE:BATCH')
    parser.add_argument('--device', default='cpu', help='cpu (the default) or cuda')
    parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--cast', action='store_true',
                        help='weights and images of that type in inference, instead of autocast')
    parser.add_argument('--int8', action='store_true',
                        help='inference with linear layers quantised dynamically as well')
    parser.add_argument('--profile', action='store_true',
                        help="the plugin's time by kind of operator, instead of the comparison")
    parser.add_argument('--compile', action='store_true', help='torch.compile as well')
    parser.add_argument('--cuda-graph', action='store_true', help='a captured CUDA graph as well')
    parser.add_argument('--images', type=Path, metavar='FOLDER',
                        help='images for the load cases (parts of photographs of scikit-learn '
                             'and scikit-image)')
    parser.add_argument('--rounds', type=positive, default=9, metavar='N',
                        help='how often everything is timed (9)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
    parser.add_argument('--plot', type=Path, metavar='FILE', help='write a picture')
    add_debug(parser)
    args = parser.parse_args()
    if args.profile and args.plot:
        parser.error('--plot draws comparisons, and --profile makes none')
    if args.plot and args.plot.suffix not in PICTURES:
        parser.error(f"--plot must end in {', '.join(PICTURES)}, got '{args.plot}'")
    for file in (args.json, args.plot):
        if file and not file.parent.is_dir():
            parser.error(f"there is no folder '{file.parent}' for '{file.name}'")
    if not re.fullmatch(r'cpu|cuda(:\d+)?', args.device):
        parser.error(f"--device must be cpu or cuda, got '{args.device}'")
    return args


def main() -> None:
    args = parse_args()
    with explained(args):
        benchmark(args)


def benchmark(args: argparse.Namespace) -> None:
    """Measure the cases, and write what was asked for."""
    device = torch.device(args.device)
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda needs a GPU, and torch finds none')
    known = PROFILED if args.profile else CASES[device.type]
    cases = [case for name in args.cases for case in
             [case for case in known if case.startswith(name + ':')] or [name]] or known
    for case in cases:
        parse(case)
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # the profiler's own messages
    logging.disable(logging.INFO)  # what the libraries say about themselves
    bench = Bench(args.device, args.dtype, args.rounds, args.compile, args.cuda_graph,
                  args.images, args.cast, args.int8, () if args.profile else LIBRARIES)
    gemm = gemm_rate(bench.device, bench.dtype)
    print(f'{machine()}\n{args.device}, {args.dtype}, {torch.get_num_threads()} threads; '
          f'a large matrix product runs at {gemm / 1e9:,.0f} GFLOP/s')
    if args.profile:
        copy = copy_rate()
        print(f'a large copy reads and writes {copy / 1e9:.1f} GB/s')
        results = [profile_case(bench, case, gemm, copy) for case in cases]
    else:
        results = [run_case(bench, case, gemm) for case in cases]
    if args.json:
        args.json.write_text(json.dumps(dict(
            machine=machine(), threads=torch.get_num_threads(), device=args.device,
            dtype=args.dtype, gemm=gemm, cases=results), indent=1))
    if args.plot:
        plot(results, args.plot)
