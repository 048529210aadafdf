"""Outputs of the modules inside a model, taken while it runs."""
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from vit_plugin.errors import UserError

TAP = re.compile(r'^(?P<path>[\w.]*)(\[(?P<index>\w+|\d*:\d*)\])?$')


class Tap:
    """A place in a model: the path of a module, and which of its outputs.

    ``'neck'`` stands for all outputs of the neck, ``'neck[0]'`` for its first one, ``'neck[1:4]'``
    for three, ``'[name]'`` for one entry of a dict that the model itself returns. ``''`` is the
    model's own output.

    Raises:
        ValueError: the text is nothing of this.
    """

    def __init__(self, text: str) -> None:
        match = TAP.match(text) if isinstance(text, str) else None
        if match is None:
            raise UserError(f"{text!r} is no place in a model: give a module's path and, if it "
                            "has several outputs, which one, e.g. 'neck' or 'neck[0]'")
        self.text, self.path, self.index = text, match['path'], match['index']

    def __repr__(self) -> str:
        return repr(self.text or 'output')

    def pick(self, calls: list[Any]) -> list[Tensor]:
        """The tensors of a module's outputs, one entry for each time that it was called."""
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
        first, last = int(start or 0), int(stop[0] or len(tensors)) if stop else int(start) + 1
        if not first < last <= len(tensors):
            raise UserError(f'there is no output {self}: there are {len(tensors)}, counted from 0')
        return tensors[first:last]


class Watch:
    """Within it, the outputs of modules are kept: ``with Watch(model, taps) as seen: ...``.

    Nothing stays with the model afterwards, so copies, checkpoints and exports know nothing of it.
    """

    def __init__(self, model: nn.Module, taps: Iterable[Tap]) -> None:
        self.modules = {tap.path: find_module(model, tap.path) for tap in taps if tap.path}
        self.name = type(model).__name__
        self.outputs: dict[str, list[Any]] = {}

    def __enter__(self) -> 'Watch':
        self.handles = [module.register_forward_hook(self.keep(path))
                        for path, module in self.modules.items()]
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self.handles:
            handle.remove()

    def keep(self, path: str) -> Callable[..., None]:
        """A hook that adds an output to those of a path."""
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            self.outputs.setdefault(path, []).append(output)
        return hook

    def __getitem__(self, tap: Tap) -> list[Tensor]:
        """The tensors at a place.

        Raises:
            ValueError: the module was not called, or has no such output.
        """
        if tap.path not in self.outputs:
            raise UserError(
                f'{self.name} has a module {tap}, but does not call it (as a module) here: name '
                "one inside of it that it calls, e.g. 'decode_head.conv_seg' for a segmentor's "
                "scores, or one of the backbone or neck")
        return tap.pick(self.outputs[tap.path])


def find_module(model: nn.Module, path: str) -> nn.Module:
    """The module at a path, or `ValueError` with paths that are like it."""
    modules = dict(model.named_modules())
    if path not in modules:
        near = get_close_matches(path, modules, n=3) or [
            name for name in modules if name and '.' not in name]
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


def is_channels_last(features: Tensor, size: tuple[int, int]) -> bool:
    """Whether features of an image of (height, width) can be (B, h, w, C) and no (B, C, h, w).

    A grid has the proportions of the image, up to the rounding of both sides.
    """
    def is_grid(rows: int, columns: int) -> bool:
        return abs(rows * size[1] - columns * size[0]) < max(size)

    return features.ndim == 4 and not is_grid(*features.shape[2:]) and is_grid(*features.shape[1:3])


def as_map(features: Tensor, size: tuple[int, int], channels_last: bool = False) -> Tensor:
    """(B, h, w, C), or tokens (B, N, C), of an image of (height, width) -> (B, C, h, w).

    Class, distillation and register tokens come first, as in every common ViT, and are left out.
    Others stay as they are.

    Raises:
        ValueError: N fits no grid of square patches.
    """
    if features.ndim != 3:
        return features.permute(0, 3, 1, 2) if channels_last else features
    height, width = size
    count = features.shape[1]
    for extra in range(min(count, 17)):
        rows = round(((count - extra) * height / width)**0.5)
        columns = (count - extra) // max(rows, 1)
        if rows * columns == count - extra and rows * width == columns * height:
            patches = features[:, extra:].transpose(1, 2)
            return patches.reshape(*patches.shape[:2], rows, columns)
    raise UserError(f'{count} tokens fit no grid of square patches of an image of '
                    f'{height}x{width} pixels')
