"""How fast the backbones are beside those of other libraries, as ratios within one run.

Every case builds the same model with the plugin and with each library that is installed and times
them in turns: in each round every one of them once, in changing order. A ratio is the time over the
plugin's in the same round: above 1, the plugin is faster. Where the plugin can read a library's
weights, outputs are compared too. Needs torch and mmengine; libraries that are absent are named.

A case is WORK:MODEL:SIZE:BATCH. WORK is one of

    forward   inference
    train     forward, backward and AdamW step
    memory    the most memory that forward and backward take above weights and gradients
    teacher   a training step distilled from timm's RegNetY-16GF, with its scores computed and with
              its scores stored, beside one without a teacher
    curve     inference of the plugin at sizes up to SIZE; Swin's cost is linear in the pixels
    load      BATCH images from file to augmented tensor, in CPU time of one core; MODEL is a
              recipe of tools/loading.py, the files are those of --images

Usage: python tools/benchmark.py [CASE ...] [--device cuda] [--dtype bfloat16] [--compile]
           [--cuda-graph] [--images FOLDER] [--rounds N] [--json FILE] [--plot FILE]
"""
import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import loading
import torch
from machine import machine
from peers import LIBRARIES, build, distilled_classifier, load_into_plugin
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

CASES = {
    'cpu': ['forward:swin-tiny:224:4', 'forward:swin-tiny:512:1', 'forward:swin-tiny:800:1',
            'forward:deit-small:224:4', 'train:swin-tiny:224:8', 'train:deit-small:224:8',
            'memory:swin-tiny:224:8', 'memory:deit-small:224:8', 'teacher:deit-small:224:2',
            'curve:swin-tiny:896:1', 'curve:deit-small:896:1', 'load:imagenet:224:48'],
    'cuda': ['forward:swin-tiny:224:128', 'forward:swin-small:224:128', 'forward:swin-tiny:800:1',
             'forward:deit-small:224:128', 'train:swin-tiny:224:128', 'train:swin-small:224:128',
             'train:deit-small:224:128', 'memory:swin-tiny:224:128', 'memory:deit-small:224:128',
             'teacher:deit-small:224:128', 'curve:swin-tiny:1333:1', 'curve:deit-small:1333:1'],
}
SIZES = (224, 320, 448, 640, 896, 1333)
Step = Callable[[], Any]


class Bench:
    """Makes and measures the steps of one device and data type."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        self.compile, self.graph, self.rounds = args.compile, args.cuda_graph, args.rounds
        self.images = args.images
        self.store = tempfile.TemporaryDirectory()

    def models(self, name: str, size: int) -> dict[str, nn.Module]:
        """The model of each library that has it, with the same random seed."""
        models = {}
        for library in ('plugin', *LIBRARIES):
            torch.manual_seed(0)
            try:
                models[library] = build(library, name, size).to(self.device)
            except (ImportError, LookupError) as error:
                print(f'  without {library}: {error}')
        return models

    def step(self, loss: Callable[[], Tensor], parameters: Any) -> Step:
        """A training step with AdamW."""
        optimizer = torch.optim.AdamW(parameters, lr=1e-5)

        def train() -> None:
            with self.autocast():
                value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
        return train

    def backward(self, loss: Callable[[], Tensor]) -> Step:
        """Forward and backward; gradients add up, so that they are allocated before."""
        def backward() -> None:
            with self.autocast():
                value = loss()
            value.backward()
        return backward

    def forward(self, model: Callable[[Tensor], Any], x: Tensor) -> Step:
        """Inference of a batch."""
        def forward() -> Any:
            with torch.inference_mode(), self.autocast():
                return model(x)
        return forward

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def steps(self, work: str, name: str, size: int, batch: int) -> dict[str, Step]:
        """What is to be measured, by title; ratios are to the first."""
        if work == 'load':
            folder = self.images or loading.write_photographs(Path(self.store.name), batch)
            return loading.steps(name, size, folder, batch)
        x = torch.randn(batch, 3, size, size, device=self.device)
        if work == 'teacher':
            return self.teacher_steps(name, x)
        models: dict[str, Any] = self.models(name, size)
        if self.compile:
            models |= {f'{library} compiled': torch.compile(models[library])
                       for library in ('plugin', 'timm') if library in models}
        if work == 'forward':
            for library, model in models.items():
                model.eval()
                if library in LIBRARIES:
                    compare(library, model, name, x[:1])
            steps = {title: self.forward(model, x) for title, model in models.items()}
            if self.graph:
                steps['plugin graph'] = capture(steps['plugin'])
            return steps
        for model in models.values():
            model.train()
        losses = {title: lambda m=model: m(x).float().square().mean()
                  for title, model in models.items()}
        if work == 'memory':
            return {title: self.backward(loss) for title, loss in losses.items()}
        return {title: self.step(loss, models[title].parameters())
                for title, loss in losses.items()}

    def teacher_steps(self, name: str, x: Tensor) -> dict[str, Step]:
        """Steps without a teacher, with its scores stored, with it, and with its options."""
        titles: dict[str, dict[str, Any] | None] = {
            'no teacher': None, 'stored scores': dict(store=self.store.name), 'teacher': {},
            'channels last': dict(channels_last=True)}
        if self.compile:
            titles['compiled teacher'] = dict(channels_last=True, compile=True)
        steps = {}
        for title, options in titles.items():
            model, samples = distilled_classifier(name, options, len(x))
            model.to(self.device).train()
            steps[title] = self.step(partial(total_loss, model, x, samples), model.parameters())
        return steps

    def seconds(self, step: Step) -> float:
        """How long a step takes."""
        if self.device.type == 'cpu':
            start = time.perf_counter()
            step()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        step()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def peak_bytes(self, step: Step) -> float:
        """The most bytes that a step holds above what was there before it."""
        if self.device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step()
            return torch.cuda.max_memory_allocated() - before
        with torch.profiler.profile(profile_memory=True,
                                    activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            step()
        events = [event for event in profile.profiler.kineto_results.events()
                  if event.name() == '[memory]']
        held = peak = 0
        for event in sorted(events, key=lambda event: event.start_ns()):
            held += event.nbytes()
            peak = max(peak, held)
        return peak

    def measure(self, steps: dict[str, Step], work: str) -> dict[str, list[float]]:
        """Seconds, or bytes, of each step in every round; the order turns from round to round."""
        for step in steps.values():
            step(), step()
        values: dict[str, list[float]] = {title: [] for title in steps}
        titles = list(steps)
        take = dict(memory=self.peak_bytes, load=loading.cpu_seconds).get(work, self.seconds)
        for i in range(3 if work == 'memory' else self.rounds):
            for title in titles[i % len(titles):] + titles[:i % len(titles)]:
                values[title].append(take(steps[title]))
        return values


def compare(library: str, model: nn.Module, name: str, x: Tensor) -> None:
    """Print how far the plugin's output is from a library's with that library's weights."""
    twin = load_into_plugin(library, model, name, x.shape[-1])
    if twin is not None:
        with torch.no_grad():
            expected, found = model(x), twin.to(x.device).eval()(x)
        difference = (found - expected).norm() / expected.norm()
        print(f"  with {library}'s weights the plugin's output differs by {difference:.0e}")


def total_loss(model: Any, x: Tensor, samples: list) -> Tensor:
    """The sum of a classifier's losses."""
    return sum(value for name, value in model.loss(x, samples).items() if 'loss' in name)


def capture(step: Step) -> Step:
    """The step as a CUDA graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        step(), step()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def gemm_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of the best of several square matrix products."""
    n = 2048 if device.type == 'cpu' else 8192
    a, b = torch.randn(2, n, n, device=device, dtype=dtype)
    times = []
    for _ in range(8):
        if device.type == 'cuda':
            torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * n**3 / min(times)


def flops(step: Step) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def summarise(values: dict[str, list[float]], work: str, batch: int) -> list[dict[str, Any]]:
    """One row for each title: median, quartiles, and the median of the ratios to the first."""
    reference = next(iter(values.values()))
    unit = 2**20 if work == 'memory' else batch / 1000
    rows = []
    for title, taken in values.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, reference)]
        low, middle, high = statistics.quantiles(taken, n=4)
        rows.append(dict(title=title, median=middle / unit, low=low / unit, high=high / unit,
                         ratio=statistics.median(ratios)))
    return rows


def show(rows: list[dict[str, Any]], unit: str) -> None:
    print(f'  {"":20}{unit:>12}   {"quartiles":>19}   ratio')
    for row in rows:
        print(f'  {row["title"]:20}{row["median"]:12.1f}   {row["low"]:9.1f}–{row["high"]:<9.1f}'
              f'   {row["ratio"]:.2f}')


def run_case(bench: Bench, case: str, gemm: float) -> dict[str, Any]:
    """Measure one case and print it."""
    work, name, size, batch = case.split(':')
    print(f'\n{case}')
    if work == 'curve':
        values: dict[str, list[float]] = {}
        for side in [side for side in SIZES if side <= int(size)]:
            model = build('plugin', name, side).to(bench.device).eval()
            step = bench.forward(model, torch.randn(int(batch), 3, side, side, device=bench.device))
            values |= bench.measure({f'{side} x {side}': step}, work)
    else:
        threads = torch.get_num_threads()
        steps = bench.steps(work, name, int(size), int(batch))
        values = bench.measure(steps, work)
        torch.set_num_threads(threads)
    rows = summarise(values, work, int(batch))
    show(rows, 'MiB' if work == 'memory' else 'ms per image')
    result = dict(case=case, rows=rows)
    if work in ('forward', 'train'):
        first = next(iter(steps.values()))
        rate = flops(first) / (rows[0]['median'] * int(batch) / 1000)
        result['gemm_share'] = rate / gemm
        print(f'  the plugin reaches {100 * rate / gemm:.0f} % of the matrix rate')
    return result


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw the ratios of every forward and training case, and the cost over the image size."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), layout='constrained')
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


def main() -> None:
    parser = argparse.ArgumentParser(description='Time the backbones beside other libraries.')
    parser.add_argument('cases', nargs='*', metavar='CASE', help='WORK:MODEL:SIZE:BATCH')
    parser.add_argument('--device', default='cpu', help='cpu (the default) or cuda')
    parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--compile', action='store_true', help='torch.compile as well')
    parser.add_argument('--cuda-graph', action='store_true', help='a captured CUDA graph as well')
    parser.add_argument('--images', type=Path, metavar='FOLDER',
                        help='images for the load cases (parts of photographs of scikit-learn '
                             'and scikit-image)')
    parser.add_argument('--rounds', type=int, default=9, metavar='N',
                        help='how often everything is timed (9)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
    parser.add_argument('--plot', type=Path, metavar='FILE', help='write a picture')
    args = parser.parse_args()

    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # the profiler's own messages
    logging.disable(logging.INFO)  # what the libraries say about themselves
    bench = Bench(args)
    gemm = gemm_rate(bench.device, bench.dtype)
    print(f'{machine()}\n{args.device}, {args.dtype}, {torch.get_num_threads()} threads; '
          f'a large matrix product runs at {gemm / 1e9:,.0f} GFLOP/s')
    results = [run_case(bench, case, gemm) for case in args.cases or CASES[bench.device.type]]
    if args.json:
        args.json.write_text(json.dumps(dict(
            machine=machine(), threads=torch.get_num_threads(), device=args.device,
            dtype=args.dtype, gemm=gemm, cases=results), indent=1))
    if args.plot:
        plot(results, args.plot)


if __name__ == '__main__':
    main()
