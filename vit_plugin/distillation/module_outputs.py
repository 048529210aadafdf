"""Outputs of the modules inside a model, recorded while it runs."""
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any

from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from vit_plugin.errors import UserError

TAP = re.compile(r'^(?P<path>[\w.]*)(\[(?P<index>\w+|\d*:\d*)\])?$')


class Tap:
    """An output inside a model: the path of a module and, where it has several, which one.

    ``'neck'`` stands for all outputs of the neck, ``'neck[0]'`` for its first one, ``'neck[1:4]'``
    for three, ``'[name]'`` for one entry of a dict that the model itself returns. ``''`` is the
    model's own output.

    Raises:
        UserError: the text has another form.
    """

    def __init__(self, text: str) -> None:
        match = TAP.match(text) if isinstance(text, str) else None
        if match is None:
            raise UserError(f"{text!r} is no place in a model: give a module's path and, if it "
                            "has several outputs, which one, e.g. 'neck' or 'neck[0]'")
        self.text, self.path, self.index = text, match['path'], match['index']

    def __repr__(self) -> str:
        return repr(self.text or 'output')

    def is_in(self, children: Iterable[str]) -> bool:
        """True if the module is one of these children of the model, or inside of one."""
        return self.path.split('.')[0] in children

    def select(self, calls: list[Any]) -> list[Tensor]:
        """The tensors of a module's outputs, one entry of ``calls`` for each time it was called."""
        outputs = calls[0] if len(calls) == 1 else calls
        if self.index is None:
            return flatten(outputs)
        if isinstance(outputs, dict):
            if self.index not in outputs:
                raise UserError(f'there is no output {self}: there are {list(outputs)}')
            return flatten(outputs[self.index])
        tensors = flatten(outputs)
        if not self.index.replace(':', '').isdigit() and self.index != ':':
            raise UserError(f'there is no output {self}: the outputs have numbers, not names')
        start, *stop = self.index.split(':')
        first = int(start or 0)
        last = int(stop[0] or len(tensors)) if stop else first + 1
        if not first < last <= len(tensors):
            raise UserError(f'there is no output {self}: there are {len(tensors)}, counted from 0')
        return tensors[first:last]


OUTPUT = Tap('')


class RecordedOutputs:
    """Outputs of the tapped modules: ``with RecordedOutputs(model, taps) as recorded: ...``.

    The hooks are removed at the end, so copies, checkpoints and exports know nothing of them.
    """

    def __init__(self, model: nn.Module, taps: Iterable[Tap]) -> None:
        self.modules = {tap.path: find_module(model, tap.path) for tap in taps if tap.path}
        self.name = type(model).__name__
        self.outputs: dict[str, list[Any]] = {}

    def __enter__(self) -> 'RecordedOutputs':
        self.handles = [module.register_forward_hook(self.recorder(path), with_kwargs=True)
                        for path, module in self.modules.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def recorder(self, path: str) -> Callable[..., None]:
        """A forward hook that appends the output to those of a path."""
        def hook(module: nn.Module, inputs: object, named: dict[str, Any], output: object) -> None:
            levels = split_levels(output, named.get('spatial_shapes'))
            self.outputs.setdefault(path, []).append(levels)
        return hook

    def __getitem__(self, tap: Tap) -> list[Tensor]:
        """The tensors of a tap.

        Raises:
            UserError: the module was not called, or has no such output.
        """
        if tap.path not in self.outputs:
            raise UserError(
                f'{self.name} has a module {tap}, but does not call it (as a module) here: name '
                "one inside of it that it calls, e.g. 'decode_head.conv_seg' for a segmentor's "
                "scores, or one of the backbone or neck")
        return tap.select(self.outputs[tap.path])


def split_levels(output: Any, shapes: Tensor | None) -> Any:
    """Tokens (B, N, C) of several levels -> a map (B, C, h, w) of each level.

    The ``shapes`` (height, width) of levels are what deformable encoders are called with (mmdet's
    DINO, Deformable DETR and Mask2Former). Any other output stays as it is.
    """
    if shapes is None or not isinstance(output, Tensor) or output.ndim != 3:
        return output
    sizes = shapes.tolist()
    counts = [height * width for height, width in sizes]
    if sum(counts) != output.shape[1]:
        return output
    levels = output.transpose(1, 2).split(counts, dim=2)
    return [level.unflatten(2, size) for level, size in zip(levels, sizes)]


class Entry(nn.Module):
    """A toolkit's model as a function of pixels: ``extract_feat``, or the mode ``'tensor'``.

    A DETR-like detector asks for each image's size beside its padding: here all is image.
    """

    model: Any

    def __init__(self, model: nn.Module, features: bool) -> None:
        super().__init__()
        self.model, self.features = model, features

    def forward(self, x: Tensor) -> Any:
        if self.features:
            return self.model.extract_feat(x)
        if not hasattr(self.model, 'pre_transformer'):
            return self.model(x, mode='tensor')
        size = dict(img_shape=x.shape[2:], batch_input_shape=x.shape[2:])
        return self.model(x, [BaseDataElement(metainfo=size) for _ in x], mode='tensor')


def find_entry(model: nn.Module, taps: Sequence[Tap]) -> nn.Module:
    """The cheapest forward that calls all tapped modules: backbone and neck, or all of it."""
    if 'mode' not in signature(model.forward).parameters:
        return model
    inside = all(tap.is_in(('backbone', 'neck')) for tap in taps)
    return Entry(model, inside and hasattr(model, 'extract_feat'))


def find_module(model: nn.Module, path: str) -> nn.Module:
    """The module of a path; `UserError` with similar paths where there is none."""
    modules = dict(model.named_modules())
    if path not in modules:
        children = [name for name, _ in model.named_children()]
        near = get_close_matches(path, modules, n=3) or children
        raise UserError(f"{type(model).__name__} has no module '{path}'; it has, for example, "
                        f'{near[:5]}')
    return modules[path]


def flatten(outputs: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts, in their order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = outputs.values()
    if not isinstance(outputs, Iterable) or isinstance(outputs, str):
        return []
    return [tensor for item in outputs for tensor in flatten(item)]
