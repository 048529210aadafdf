"""The frozen classifier that a student learns from."""
from collections.abc import Callable, Sequence
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from vit_plugin.checkpoints import read_state_dict

from .finite import FiniteCheck
from .pixels import convert_pixels

# What may stand in the dict of any teacher beside its config and checkpoint.
OPTIONS = ('resize', 'channels_last', 'compile')


class Teacher:
    """The student's pixels (B, 3, H, W) -> the teacher's scores (B, num_classes).

    Deliberately no ``nn.Module``: so the student's parameters, state dict, EMA copies and DDP
    buckets never see the teacher. It is always in evaluation mode and computes no gradients.

    Args:
        model: The classifier, weights loaded.
        pixels: The student's data preprocessor. Where the teacher's has another mean, standard
            deviation or channel order, the pixels are converted.
        resize: Size in pixels, or (height, width), that the images get for the teacher; ``None``
            for the student's.
        channels_last: Keep weights and pixels in channels-last memory format, which convolutions
            in mixed precision on a GPU are faster with.
        compile: Whether to call ``torch.compile``, or its arguments (mmengine's convention).

    Attributes:
        num_classes: Number of classes, ``None`` where the classifier does not tell.

    Raises:
        ValueError: the teacher does not say how its pixels are normalised, see `convert_pixels`,
            or cannot take images of the size that it gets.
        RuntimeError: at a call, its scores hold NaN or infinity.
    """

    def __init__(self, model: BaseModel, pixels: BaseDataPreprocessor,
                 resize: int | Sequence[int] | None = None, channels_last: bool = False,
                 compile: bool | dict[str, Any] = False) -> None:
        self.model = model.requires_grad_(False).eval()
        self.channels_last = channels_last
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.forward = self.model
        if compile:
            self.forward = torch.compile(self.model, **(compile if compile is not True else {}))
        self.num_classes = find_num_classes(model)
        self.pixels = convert_pixels(pixels, model, resize)
        self.sizes: set[torch.Size] = set()  # that it has taken
        self.check_finite = FiniteCheck()

    def __call__(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            x = self.pixels(x)
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            if x.shape[2:] in self.sizes:
                scores = self.forward(x, mode='tensor')
            else:
                scores = self.try_size(self.forward, x)
            self.check_finite(scores)
        return scores.clone()  # a tensor made in inference mode cannot take part in a loss

    def try_size(self, forward: Callable[..., Tensor], x: Tensor) -> Tensor:
        """Run on images of a new size; `ValueError` with both sizes where that fails."""
        try:
            scores = forward(x, mode='tensor')
        except torch.cuda.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:
            own = find_size(self.model)
            if own in (None, tuple(x.shape[2:])):
                raise
            raise ValueError(
                f'the teacher {type(self.model).__name__} was made for images of '
                f'{own[0]}x{own[1]} pixels and cannot take the {x.shape[2]}x{x.shape[3]} that it '
                f'gets ({error}): add resize={own[0] if own[0] == own[1] else own} to teacher=, '
                'which resizes them for the teacher alone') from error
        self.sizes.add(x.shape[2:])
        return scores

    def check_size(self, channels: int, size: tuple[int, int]) -> None:
        """Raise `ValueError` unless the teacher can take a student's images of this size."""
        with torch.inference_mode():
            self.try_size(self.model, self.pixels(torch.zeros(1, channels, *size)))

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self  # copies of the student, e.g. for EMA, share their teacher

    def apply(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow the student to another device or type (``nn.Module._apply``)."""
        self.model._apply(fn)
        self.pixels.apply(fn)


def build_teacher(teacher: dict[str, Any] | str | PathLike,
                  pixels: BaseDataPreprocessor) -> Teacher:
    """Build a teacher from its config and load its weights.

    Args:
        teacher: One of

            - a classifier's config with ``checkpoint`` added:
              ``dict(type='ImageClassifier', backbone=..., head=..., checkpoint='r50.pth')``;
            - ``dict(config='configs/resnet50.py', checkpoint='r50.pth')``;
            - the path of a config file whose ``load_from`` is the checkpoint.

            ``checkpoint=None`` says that the config brings the weights itself, e.g. with
            ``init_cfg`` or timm's ``pretrained=True``. ``resize``, ``channels_last`` and
            ``compile`` may be added to a dict, see `Teacher`; so may ``store``, which is
            `DistilledClassifier`'s.
        pixels: The student's data preprocessor.

    Raises:
        TypeError: ``teacher`` is none of these.
        ValueError: no checkpoint is named, or its weights do not fit the config.
        FileNotFoundError: the config file or the checkpoint does not exist.
    """
    options = {}
    if isinstance(teacher, dict):
        options = {key: teacher[key] for key in OPTIONS if key in teacher}
        teacher = {key: value for key, value in teacher.items()
                   if key not in (*options, 'store')}
    model_cfg, checkpoint = parse_teacher(teacher)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(model_cfg)
    if checkpoint is None:
        init_weights(model)
    else:
        try:
            model.load_state_dict(read_state_dict(checkpoint))
        except RuntimeError as error:
            raise ValueError(f"the teacher's checkpoint '{checkpoint}' does not fit its config: "
                             f'{error}') from error
    return Teacher(model, pixels, **options)


def init_weights(model: BaseModel) -> None:
    """Load what ``init_cfg`` names, and leave models of timm and Hugging Face as they are.

    mmengine would call their own ``init_weights``, which start from random weights.
    """
    for module in model.modules():
        if type(module).__module__.startswith(('timm.', 'transformers.')):
            module.is_init = True  # mmengine's mark
    model.init_weights()


def parse_teacher(teacher: dict[str, Any] | str | PathLike) -> tuple[dict[str, Any], str | None]:
    """The model config and the checkpoint of what `build_teacher` takes."""
    if isinstance(teacher, (str, PathLike)):
        config = read_config(teacher)
        return model_config(config), require_checkpoint(config.get('load_from'), teacher)
    if not isinstance(teacher, dict):
        raise TypeError('teacher must be a config (dict) or the path of a config file, '
                        f'got {teacher!r}')
    teacher = deepcopy(dict(teacher))
    checkpoint = teacher.pop('checkpoint', '')
    if 'config' in teacher:
        config = teacher['config']
        config = config if isinstance(config, dict) else read_config(config)
        model = model_config(config) if 'model' in config else config
    else:
        model = teacher
    return model, None if checkpoint is None else require_checkpoint(checkpoint, model)


def require_checkpoint(checkpoint: str | None, source: Any) -> str:
    """Return ``checkpoint``, or raise `ValueError` where it is not named."""
    if not checkpoint:
        raise ValueError(
            f'the teacher {source!r} has no checkpoint, so it knows nothing to teach: add '
            "checkpoint='path.pth', or checkpoint=None if its config brings the weights itself")
    return str(checkpoint)


def read_config(path: str | PathLike) -> Config:
    """Read a config file, or raise `FileNotFoundError`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no teacher config '{path}'")
    return Config.fromfile(path)


def model_config(config: dict[str, Any]) -> dict[str, Any]:
    """The model of a whole config, with the data preprocessor that stands beside it."""
    model = deepcopy(dict(config['model']))
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', deepcopy(dict(config['data_preprocessor'])))
    return model


def find_num_classes(model: BaseModel) -> int | None:
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
