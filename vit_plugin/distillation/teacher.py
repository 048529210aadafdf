"""The frozen classifier that a student learns from."""
from collections.abc import Callable
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from torch import Tensor

from vit_plugin.checkpoints import read_state_dict


class Teacher:
    """The student's pixels (B, 3, H, W) -> the teacher's scores (B, num_classes).

    Deliberately no ``nn.Module``: so the student's parameters, state dict, EMA copies and DDP
    buckets never see the teacher. It is always in evaluation mode and computes no gradients.

    Args:
        model: The classifier, weights loaded.
        pixels: The student's data preprocessor. Where the teacher's has another mean, standard
            deviation or channel order, the pixels are converted.
        channels_last: Keep weights and pixels in channels-last memory format, which convolutions
            in mixed precision on a GPU are faster with.
        compile: Whether to call ``torch.compile``, or its arguments (mmengine's convention).

    Attributes:
        num_classes: Number of classes, ``None`` where the classifier does not tell.
    """

    def __init__(self, model: BaseModel, pixels: BaseDataPreprocessor,
                 channels_last: bool = False, compile: bool | dict[str, Any] = False) -> None:
        self.model = model.requires_grad_(False).eval()
        self.channels_last = channels_last
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.forward = self.model
        if compile:
            self.forward = torch.compile(self.model, **(compile if compile is not True else {}))
        self.num_classes = find_num_classes(model)
        own = model.data_preprocessor
        self.flip = own.to_rgb != pixels.to_rgb
        (mean, std), (own_mean, own_std) = normalisation(pixels), normalisation(own)
        if self.flip:
            mean, std = mean.flip(0), std.flip(0)
        # (x * std + mean - own_mean) / own_std as one multiplication and one addition
        self.scale, self.offset = std / own_std, (mean - own_mean) / own_std
        self.renormalise = bool((self.scale != 1).any() or (self.offset != 0).any())

    def __call__(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            if self.flip:
                x = x.flip(1)
            if self.renormalise:
                x = x * self.scale + self.offset
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            scores = self.forward(x, mode='tensor')
        return scores.clone()  # a tensor made in inference mode cannot take part in a loss

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self  # copies of the student, e.g. for EMA, share their teacher

    def apply(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow the student to another device or type (``nn.Module._apply``)."""
        self.model._apply(fn)
        self.scale, self.offset = fn(self.scale), fn(self.offset)


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
            ``init_cfg`` or timm's ``pretrained=True``. ``channels_last`` and ``compile`` may be
            added to a dict, see `Teacher`; so may ``store``, which is `DistilledClassifier`'s.
        pixels: The student's data preprocessor.

    Raises:
        TypeError: ``teacher`` is none of these.
        ValueError: no checkpoint is named, or its weights do not fit the config.
        FileNotFoundError: the config file or the checkpoint does not exist.
    """
    options = {}
    if isinstance(teacher, dict):
        options = {key: teacher[key] for key in ('channels_last', 'compile') if key in teacher}
        teacher = {key: value for key, value in teacher.items()
                   if key not in (*options, 'store')}
    model_cfg, checkpoint = parse_teacher(teacher)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(model_cfg)
    if checkpoint is None:
        model.init_weights()
    else:
        try:
            model.load_state_dict(read_state_dict(checkpoint))
        except RuntimeError as error:
            raise ValueError(f"the teacher's checkpoint '{checkpoint}' does not fit its config: "
                             f'{error}') from error
    return Teacher(model, pixels, **options)


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


def normalisation(preprocessor: BaseDataPreprocessor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C, 1, 1) of a data preprocessor, 0 and 1 without."""
    if hasattr(preprocessor, 'mean'):
        return preprocessor.mean, preprocessor.std
    return torch.zeros(1, 1, 1), torch.ones(1, 1, 1)


def find_num_classes(model: BaseModel) -> int | None:
    """The number of classes of mmpretrain's own, timm's and Hugging Face's classifiers."""
    if hasattr(model, 'head'):
        return getattr(model.head, 'num_classes', None)
    wrapped = getattr(model, 'model', None)
    return getattr(wrapped, 'num_classes', None) or getattr(wrapped, 'num_labels', None)
