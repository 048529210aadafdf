"""Steps of models, their time and their memory."""
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic
from torch.utils.flop_counter import FlopCounterMode

from . import loading
from .distilled import LOSSES, asked_loss, distilled_classifier, distilled_swin, total_loss
from .peers import LIBRARIES, build, compare

Step = Callable[[], Any]


class Bench:
    """Makes and measures the steps of one device and data type.

    Args:
        device: Name of the device.
        dtype: Type to compute in, by autocast unless ``cast``.
        rounds: How often everything is timed.
        compile: Compiled models as well.
        graph: Inference as a captured CUDA graph as well.
        images: A folder of images for the ``load`` cases.
        cast: The weights and images of inference have that type, too.
        int8: The plugin with linear layers quantised dynamically as well, in inference.
        libraries: Those beside the plugin.
    """

    def __init__(self, device: str = 'cpu', dtype: str = 'float32', rounds: int = 9,
                 compile: bool = False, graph: bool = False, images: Path | None = None,
                 cast: bool = False, int8: bool = False,
                 libraries: Sequence[str] = LIBRARIES) -> None:
        self.device = torch.device(device)
        self.dtype = getattr(torch, dtype)
        self.compile, self.graph, self.rounds = compile, graph, rounds
        self.images = images
        self.cast, self.int8, self.libraries = cast, int8, libraries
        self.store = tempfile.TemporaryDirectory()

    def models(self, name: str, size: tuple[int, int]) -> dict[str, nn.Module]:
        """The model of each library that has it, with the same random seed."""
        models = {}
        for library in ('plugin', *self.libraries):
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
        return torch.autocast(self.device.type, self.dtype,
                              enabled=self.dtype != torch.float32 and not self.cast)

    def steps(self, work: str, name: str, size: tuple[int, int], batch: int) -> dict[str, Step]:
        """Steps to measure, by title; ratios are to the first."""
        if work == 'load':
            return loading.steps(name, size[0], batch, Path(self.store.name), self.images)
        x = torch.randn(batch, 3, *size, device=self.device)
        if work == 'teacher':
            return self.teacher_steps(name, x)
        if work.startswith('distil'):
            return self.distil_steps(work, name, x)
        models: dict[str, Any] = self.models(name, size)
        if self.compile:
            models |= {f'{library} compiled': torch.compile(models[library])
                       for library in ('plugin', 'timm') if library in models}
        if work in ('forward', 'forward-memory'):
            return self.forward_steps(models, name, x)
        for model in models.values():
            model.train()
        losses = {title: lambda m=model: m(x).float().square().mean()
                  for title, model in models.items()}
        if work == 'memory':
            return {title: self.backward(loss) for title, loss in losses.items()}
        return {title: self.step(loss, models[title].parameters())
                for title, loss in losses.items()}

    def forward_steps(self, models: dict[str, Any], name: str, x: Tensor) -> dict[str, Step]:
        """Inference of each model, and of what the plugin's can be made into."""
        for library, model in models.items():
            model.eval()
            if library in LIBRARIES:
                compare(library, model, name, x[:1])
        if self.int8:
            models['plugin int8'] = quantize_dynamic(models['plugin'], {nn.Linear})
        if self.cast:
            models, x = {title: model.to(self.dtype) for title, model in models.items()
                         }, x.to(self.dtype)
        steps = {}
        for title, model in models.items():
            try:
                self.forward(model, x)()
                steps[title] = self.forward(model, x)
            except RuntimeError as error:
                print(f'  without {title}: {str(error).splitlines()[0]}')
        if self.graph:
            steps['plugin graph'] = capture(steps['plugin'])
        return steps

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

    def distil_steps(self, work: str, name: str, x: Tensor) -> dict[str, Step]:
        """Steps with each kind of loss, the teacher's forward alone, and no teacher.

        Ratios of time are to a step with the teacher's forward, those of memory to plain training.
        """
        from mmpretrain.structures import DataSample
        samples = [DataSample().set_gt_label(i).to(self.device) for i in range(len(x))]
        titles: dict[str, str | None] = {'teacher asked': 'PKD', 'no teacher': None}
        if work == 'distil-memory':
            titles = dict(reversed(titles.items()))
        steps = {}
        for title, loss in (titles | {loss: loss for loss in LOSSES}).items():
            torch.manual_seed(0)
            model: Any = distilled_swin(name, loss).to(self.device).train()
            total = partial(asked_loss if title == 'teacher asked' else total_loss, model, x,
                            samples)
            steps[title] = (self.backward(total) if work == 'distil-memory'
                            else self.step(total, model.parameters()))
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
        is_memory = work.endswith('memory')
        take: Callable[[Step], float] = self.seconds
        if is_memory:
            take = self.peak_bytes
        elif work == 'load':
            take = loading.cpu_seconds
        for i in range(3 if is_memory else self.rounds):
            for title in titles[i % len(titles):] + titles[:i % len(titles)]:
                values[title].append(take(steps[title]))
        return values


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


def flops(step: Step) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def summarise(values: dict[str, list[float]], work: str, batch: int) -> list[dict[str, Any]]:
    """One row for each title: median, quartiles, and the median of the ratios to the first."""
    reference = next(iter(values.values()))
    unit = 2**20 if work.endswith('memory') else batch / 1000
    rows = []
    for title, taken in values.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, reference)]
        low, middle, high = statistics.quantiles(taken, n=4)
        rows.append(dict(title=title, median=middle / unit, low=low / unit, high=high / unit,
                         ratio=statistics.median(ratios)))
    return rows
