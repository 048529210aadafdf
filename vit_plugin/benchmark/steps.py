"""The steps that ``vit-plugin benchmark`` measures: of models, with teachers, of pipelines."""
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic

from . import loading
from .distilled import LOSSES, asked_loss, distilled_classifier, distilled_swin, total_loss
from .measure import Step
from .peers import LIBRARIES, build, compare

CPU = torch.device('cpu')


@dataclass
class Bench:
    """Makes the steps of one device and data type."""

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32  # to compute in, by autocast unless ``cast``
    cast: bool = False  # the weights and images of inference have that type, too
    int8: bool = False  # inference with linear layers quantised dynamically as well
    compile: bool = False  # compiled models as well
    graph: bool = False  # inference as a captured CUDA graph as well
    runtimes: bool = False  # inference by ONNX Runtime and OpenVINO as well
    images: Path | None = None  # a folder of images for the ``load`` cases
    libraries: Sequence[str] = LIBRARIES  # those beside the plugin
    store: tempfile.TemporaryDirectory = field(default_factory=tempfile.TemporaryDirectory)

    def models(self, name: str, size: tuple[int, int], **settings: int) -> dict[str, nn.Module]:
        """The model of each library that has it, with the same random seed.

        Args:
            name: See `build`.
            size: (height, width) of the images.
            settings: ``window``, of a Swin.
        """
        models = {}
        for library in ('plugin', *self.libraries):
            torch.manual_seed(0)
            try:
                models[library] = build(library, name, size, **settings).to(self.device)
            except (ImportError, LookupError) as error:
                print(f'  without {library}: {error}')
        return models

    def example(self, name: str, size: tuple[int, int], batch: int) -> tuple[nn.Module, Tensor]:
        """The plugin's model for inference in float32, and a batch."""
        return build('plugin', name, size).eval(), torch.randn(batch, 3, *size)

    def step(self, loss: Callable[[], Tensor], parameters: Any) -> Step:
        """A training step with AdamW."""
        optimizer = torch.optim.AdamW(parameters, lr=1e-5)
        backward = self.backward(loss)

        def train() -> None:
            backward()
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
        """The context to compute in."""
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
        steps = {}
        for title, model in models.items():
            loss = partial(mean_square, model.train(), x)
            steps[title] = self.training(work, loss, model)
        return steps

    def training(self, work: str, loss: Callable[[], Tensor], model: nn.Module) -> Step:
        """Forward and backward where memory is measured, else a training step."""
        if work.endswith('memory'):
            return self.backward(loss)
        return self.step(loss, model.parameters())

    def forward_steps(self, models: dict[str, Any], name: str, x: Tensor) -> dict[str, Step]:
        """Inference of each model, and of what the plugin's can be made into."""
        for library, model in models.items():
            model.eval()
            if library in LIBRARIES:
                compare(library, model, name, x[:1])
        if self.int8:
            models['plugin int8'] = quantize_dynamic(models['plugin'], {nn.Linear})
        if self.cast:
            models = {title: model.to(self.dtype) for title, model in models.items()}
            x = x.to(self.dtype)
        steps = {}
        for title, model in models.items():
            step = self.forward(model, x)
            try:
                step()
                steps[title] = step
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
        titles |= {loss: loss for loss in LOSSES}
        steps = {}
        for title, loss in titles.items():
            torch.manual_seed(0)
            model: Any = distilled_swin(name, loss).to(self.device).train()
            loss_of = asked_loss if title == 'teacher asked' else total_loss
            steps[title] = self.training(work, partial(loss_of, model, x, samples), model)
        return steps


def mean_square(model: nn.Module, x: Tensor) -> Tensor:
    """A loss of a backbone's output."""
    return model(x).float().square().mean()


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
