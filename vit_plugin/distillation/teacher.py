"""The frozen model that a student learns from, and how it is built from its config."""
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from weakref import ReferenceType

import torch
from torch import Tensor, nn

from vit_plugin.errors import UserError

from .module_outputs import OUTPUT, RecordedOutputs, Tap, find_entry
from .pixels import convert_pixels
from .teacher_checks import FiniteCheck, require_variation
from .teacher_configs import TeacherConfig, build_model, split_options

# What running a model on pixels of a size that it cannot take raises.
SIZE_ERRORS = (AssertionError, RuntimeError, ValueError)


class Teacher:
    """The student's pixels (B, 3, H, W) -> the teacher's scores (B, num_classes), or features.

    Deliberately no ``nn.Module``: so the student's parameters, state dict, EMA copies and DDP
    buckets never see the teacher. It is always in evaluation mode and computes no gradients.

    Args:
        model: Any model with its weights loaded: of mmpretrain, mmdet or mmseg, or a bare module.
        pixels: The student's data preprocessor, from whose pixels the teacher's are converted.
        resize: Size in pixels, or (height, width), of the teacher's images; ``None`` for the
            student's.
        channels_last: Keep weights and pixels in this memory format, faster for convolutions in
            mixed precision on a GPU.
        compile: ``True`` to call ``torch.compile``, or its arguments (mmengine's convention).
        weight: Factor of every loss of this teacher, where there are several.

    Attributes:
        entry: The module that is called; hooks that time the teacher go there.
        shapes: Of the outputs for one image, by tap, from the dry run.

    Raises:
        UserError: the teacher does not say how its pixels are normalised, see `convert_pixels`,
            or cannot take images of the size that it gets.
        UserError: at a call, its outputs hold NaN or infinity, or are the same for different
            images.
    """

    def __init__(self, model: nn.Module, pixels: nn.Module,
                 resize: int | Sequence[int] | None = None, channels_last: bool = False,
                 compile: bool | dict[str, Any] = False, weight: float = 1.) -> None:
        if weight < 0:
            raise UserError(f'weight={weight} of a teacher must not be negative')
        self.model = model
        self.name = type(model).__name__
        model.requires_grad_(False)
        model.eval()  # which returns nothing in mmpretrain's backbones
        self.channels_last = channels_last
        if channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.compile_options = {} if compile is True else compile
        self.weight = weight
        self.pixels = convert_pixels(pixels, model, resize)
        self.sizes: set[torch.Size] = set()  # that it has taken
        self.check_finite = FiniteCheck()
        self.varies = False  # from image to image, as was seen once
        self.shapes: dict[str, list[tuple[int, ...]]] = {}
        self.owner: ReferenceType | None = None  # the student, whose copies share this teacher
        self.record([OUTPUT])

    def record(self, taps: Sequence[Tap]) -> None:
        """Choose what `outputs` returns; only what this needs of the teacher is run."""
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
        """Outputs of the tapped modules for the student's pixels, by the text of the tap."""
        recorded = self.run(self.forward, self.pixels(x))
        outputs = {tap.text: recorded[tap] for tap in self.taps}
        tensors = list(chain.from_iterable(outputs.values()))
        self.check_finite(tensors)
        self.varies = self.varies or require_variation(x, tensors, self.name)
        return outputs

    @torch.no_grad()
    def dry_run(self, image: Tensor, any_size: bool) -> dict[str, list[Tensor]]:
        """`outputs`, unchecked, for an empty image (1, 3, H, W) of the student.

        Nothing is returned where the teacher cannot take one of this size, and images in training
        may have ``any_size``. `UserError` where a model needs more than pixels.
        """
        try:
            recorded = self.run(self.entry, self.pixels(image))
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f'the teacher {self.name} cannot compute {self.taps} of pixels '
                f'alone, as a model of another task may not ({type(error).__name__}: {error}). '
                'Name a module of its backbone or neck with teacher= of the loss') from error
        except SIZE_ERRORS:
            if not any_size:
                raise
            return {}
        outputs = {tap.text: recorded[tap] for tap in self.taps}
        for text, tensors in outputs.items():
            self.shapes[text] = [tuple(tensor.shape) for tensor in tensors]
        return outputs

    def run(self, forward: Callable, x: Tensor) -> RecordedOutputs:
        """Run on pixels of its own; `UserError` with both sizes where a new size fails."""
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        try:
            with RecordedOutputs(self.model, self.taps) as recorded:
                recorded.outputs[OUTPUT.path] = [forward(x)]
        except torch.cuda.OutOfMemoryError:
            raise
        except SIZE_ERRORS as error:
            own = native_size(self.model)
            if x.shape[2:] in self.sizes or own in (None, tuple(x.shape[2:])):
                raise
            raise UserError(
                f'the teacher {self.name} was made for images of {own[0]}x{own[1]} pixels and '
                f'cannot take the {x.shape[2]}x{x.shape[3]} that it gets ({error}): add '
                f'resize={own[0] if own[0] == own[1] else own} to teacher=, '
                'which resizes them for the teacher alone') from error
        self.sizes.add(x.shape[2:])
        return recorded

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self  # copies of the student, e.g. for EMA, share their teacher

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'owner': None}  # weak references cannot be pickled

    def follow(self, student: nn.Module, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow the student, not its copies, to another device or type (``nn.Module._apply``)."""
        owner = None if self.owner is None else self.owner()
        if owner is None or owner is student:
            self.model._apply(fn)
            self.pixels.apply(fn)


def build_teacher(teacher: TeacherConfig, pixels: nn.Module, scope: str | None = 'mmpretrain'
                  ) -> Teacher:
    """Build a teacher from its config and load its weights.

    Args:
        teacher: One of

            - a model's config, or a bare module's by any importable name, with ``checkpoint``:
              ``dict(type='ImageClassifier', backbone=..., head=..., checkpoint='r50.pth')``;
            - a function of pixels: ``dict(function='package.module.name', data_preprocessor=...)``;
            - ``dict(config='configs/resnet50.py', checkpoint='r50.pth')``;
            - the path of a config file whose ``load_from`` is the checkpoint.

            ``checkpoint=None`` says that the config brings the weights itself. Arguments of
            `Teacher` may be added to a dict, and ``store``, see `StoredOutputs`.
        pixels: The student's data preprocessor.
        scope: The toolkit of names without one, where no config file says so; ``None`` for the
            present one.

    Raises:
        UserError: ``teacher`` is none of these.
        UserError: no checkpoint is named, or its weights do not fit the config.
        FileNotFoundError: the config file or the checkpoint does not exist.
    """
    config, options = split_options(teacher)
    return Teacher(build_model(config, scope), pixels, **options)


def native_size(model: nn.Module) -> tuple[int, int] | None:
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
