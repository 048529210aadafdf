"""The frozen model that a student learns from."""
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any
from weakref import ReferenceType

import torch
from torch import Tensor, nn

from vit_plugin.errors import UserError

from .finite import FiniteCheck
from .pixels import convert_pixels
from .taps import Tap, Watch

OUTPUT = Tap('')


class Teacher:
    """The student's pixels (B, 3, H, W) -> the teacher's scores (B, num_classes), or features.

    Deliberately no ``nn.Module``: so the student's parameters, state dict, EMA copies and DDP
    buckets never see the teacher. It is always in evaluation mode and computes no gradients.

    Args:
        model: Any model with its weights loaded: of mmpretrain, mmdet or mmseg, or a bare module.
        pixels: The student's data preprocessor. Where the teacher's has another mean, standard
            deviation or channel order, the pixels are converted.
        resize: Size in pixels, or (height, width), that the images get for the teacher; ``None``
            for the student's.
        channels_last: Keep weights and pixels in channels-last memory format, which convolutions
            in mixed precision on a GPU are faster with.
        compile: Whether to call ``torch.compile``, or its arguments (mmengine's convention).
        weight: Factor of every loss of this teacher, where there are several.

    Attributes:
        num_classes: Number of classes, ``None`` where the classifier does not tell.
        entry: The module that is called; hooks that time the teacher go there.

    Raises:
        ValueError: the teacher does not say how its pixels are normalised, see `convert_pixels`,
            or cannot take images of the size that it gets.
        ValueError: at a call, its outputs hold NaN or infinity, or are the same for different
            images.
    """

    def __init__(self, model: nn.Module, pixels: nn.Module,
                 resize: int | Sequence[int] | None = None, channels_last: bool = False,
                 compile: bool | dict[str, Any] = False, weight: float = 1.) -> None:
        if weight < 0:
            raise UserError(f'weight={weight} of a teacher must not be negative')
        self.model = model
        model.requires_grad_(False)
        model.eval()  # which returns nothing in mmpretrain's backbones
        self.channels_last = channels_last
        if channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.compile_options = {} if compile is True else compile
        self.weight = weight
        self.num_classes = find_num_classes(model)
        self.pixels = convert_pixels(pixels, model, resize)
        self.sizes: set[torch.Size] = set()  # that it has taken
        self.check_finite = FiniteCheck()
        self.varies = False  # whether its outputs were seen to
        self.shapes: dict[str, list[tuple[int, ...]]] = {}  # of its outputs for one image
        self.owner: ReferenceType | None = None  # the student, whose copies share this teacher
        self.watch([OUTPUT])

    def watch(self, taps: Sequence[Tap]) -> None:
        """Say what `outputs` returns; only what this needs of the teacher is run."""
        self.taps = taps
        self.entry = find_entry(self.model, taps)
        self.forward: Callable = self.entry
        if self.compile_options is False:
            return
        if taps == [OUTPUT]:
            self.forward = torch.compile(self.entry, **self.compile_options)
            return
        for name, child in self.model.named_children():
            # a compiled module runs no hooks inside, so those with a tap inside stay as they are
            if not any(tap.path.startswith(f'{name}.') for tap in taps):
                child.forward = torch.compile(child.forward, **self.compile_options)

    def __call__(self, x: Tensor) -> Tensor:
        return self.outputs(x)[OUTPUT.text][0]

    @torch.no_grad()
    def outputs(self, x: Tensor) -> dict[str, list[Tensor]]:
        """The tensors at each place that is watched, by its text."""
        seen = self.run(self.forward, self.pixels(x))
        outputs = [tensor for tensors in seen.values() for tensor in tensors]
        self.check_finite(*outputs)
        if not self.varies and len(x) > 1:
            self.varies = self.require_variation(x, outputs)
        return seen

    def require_variation(self, x: Tensor, outputs: Sequence[Tensor]) -> bool:
        """Whether the outputs differ from image to image; `ValueError` where only images do."""
        if not differ(x):
            return False
        if not any(differ(output) for output in outputs):
            raise UserError(
                f'the teacher {type(self.model).__name__} puts out the same for different images, '
                'so nothing can be learnt of it: check its checkpoint and data_preprocessor')
        return True

    def run(self, forward: Callable, x: Tensor) -> dict[str, list[Tensor]]:
        """Run on pixels of its own; `ValueError` with both sizes where a new size fails."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        try:
            with Watch(self.model, self.taps) as seen:
                seen.outputs[''] = [forward(x)]
        except torch.cuda.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:
            own = find_size(self.model)
            if x.shape[2:] in self.sizes or own in (None, tuple(x.shape[2:])):
                raise
            raise UserError(
                f'the teacher {type(self.model).__name__} was made for images of '
                f'{own[0]}x{own[1]} pixels and cannot take the {x.shape[2]}x{x.shape[3]} that it '
                f'gets ({error}): add resize={own[0] if own[0] == own[1] else own} to teacher=, '
                'which resizes them for the teacher alone') from error
        self.sizes.add(x.shape[2:])
        return {tap.text: seen[tap] for tap in self.taps}

    @torch.no_grad()
    def probe(self, image: Tensor) -> dict[str, list[Tensor]]:
        """The outputs for an image of the student; `ValueError` if they cannot be computed."""
        try:
            seen = self.run(self.entry, self.pixels(image))
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f'the teacher {type(self.model).__name__} cannot compute {self.taps} of pixels '
                f'alone, as a model of another task may not ({type(error).__name__}: {error}). '
                'Name a module of its backbone or neck with teacher= of the loss') from error
        self.shapes = {text: [tuple(x.shape) for x in outputs] for text, outputs in seen.items()}
        return seen

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self  # copies of the student, e.g. for EMA, share their teacher

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'owner': None}  # weak references cannot be pickled

    def follow(self, student: nn.Module, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow the student, not its copies, to another device or type (``nn.Module._apply``)."""
        owner = self.owner() if self.owner is not None else None
        if owner is None or owner is student:
            self.model._apply(fn)
            self.pixels.apply(fn)


def differ(x: Tensor) -> bool:
    """Whether the entries of a batch differ by more than rounding."""
    x = x.float()
    return bool((x - x[:1]).abs().amax() > 1e-5 * x.abs().amax())


class Entry(nn.Module):
    """One way to run a model of a toolkit: ``extract_feat``, or the mode ``'tensor'``."""

    model: Any

    def __init__(self, model: Any, features: bool) -> None:
        super().__init__()
        self.model, self.features = model, features

    def forward(self, x: Tensor) -> Any:
        return self.model.extract_feat(x) if self.features else self.model(x, mode='tensor')


def find_entry(model: nn.Module, taps: Sequence[Tap]) -> nn.Module:
    """The cheapest way to run a model past all taps: its backbone and neck alone, or all of it."""
    if 'mode' not in signature(model.forward).parameters:
        return model
    inside = all(tap.path.split('.')[0] in ('backbone', 'neck') for tap in taps)
    return Entry(model, inside and hasattr(model, 'extract_feat'))


def find_num_classes(model: nn.Module) -> int | None:
    """The number of classes of mmpretrain's own, timm's and Hugging Face's classifiers."""
    if hasattr(model, 'head'):
        return getattr(model.head, 'num_classes', None)
    wrapped = getattr(model, 'model', None)
    return getattr(wrapped, 'num_classes', None) or getattr(wrapped, 'num_labels', None)


def find_size(model: nn.Module) -> tuple[int, int] | None:
    """(height, width) of the images that a model was made for, where it tells."""
    for inner in ('backbone', 'model', 'timm_model'):
        model = getattr(model, inner, model)
    for name in ('patch_embed.img_size', 'img_size', 'pretrained_cfg.input_size',
                 'config.image_size'):
        size: Any = model
        for part in name.split('.'):
            size = size.get(part) if isinstance(size, dict) else getattr(size, part, None)
        if size is not None:
            return (size, size) if isinstance(size, int) else (size[-2], size[-1])
    return None
