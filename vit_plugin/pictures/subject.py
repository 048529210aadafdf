"""The subject of a picture: a model with its weights, and images as that model sees them."""
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import Tensor, nn

from vit_plugin.checkpoints import (
    CheckpointError,
    check_finite,
    names_of,
    read_checkpoint,
    take_weights,
)
from vit_plugin.checks.classes import classes_in, difference
from vit_plugin.checks.heads import level_of_names
from vit_plugin.distillation.student_config import without_teachers
from vit_plugin.errors import UserError
from vit_plugin.toolkits import data_sets


class PictureError(UserError):
    """A picture cannot be drawn; the message says why, and what to do."""


@dataclass
class View:
    """One image after the test pipeline: what the model gets, and what people see."""

    path: str
    packed: dict[str, Any]
    inputs: Tensor  # (1, 3, H, W), normalised and padded
    pixels: np.ndarray  # (H, W, 3), RGB
    info: dict[str, Any] | None = None  # what the test data know of it; None if given by hand


@dataclass
class Subject:
    """A model in evaluation mode, and the config that it was built from."""

    cfg: Config
    name: str
    model: Any
    weights: str
    trained: list[str]  # names of the checkpoint's classes; empty where it does not tell

    @property
    def backbone(self) -> Any:
        """The model's backbone."""
        return self.model.backbone

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, names in the config mean those of its toolkit."""
        with DefaultScope.overwrite_default_scope(self.cfg.get('default_scope')):
            yield

    @property
    def pipeline(self) -> list[dict]:
        """The test pipeline without the loading of annotations."""
        steps = test_dataset(self.cfg).pipeline
        if any('TestTimeAug' in step.type for step in steps):
            raise PictureError('this config tests with augmentation (TestTimeAug): give the one '
                               'without, it has the same weights')
        return [step for step in steps if 'Annotations' not in step.type]

    def view(self, path: str | Path, info: dict[str, Any] | None = None) -> View:
        """Load an image; grey ones and ones with an alpha channel become RGB."""
        path = str(path)
        if not Path(path).is_file():
            raise PictureError(f"there is no image '{path}'")
        if not cv2.haveImageReader(path):
            raise PictureError(f"'{path}' is no image that OpenCV can read (PNG, JPEG, ...)")
        with self.scope():
            packed = Compose(self.pipeline)(dict(img_path=path, img_id=0))
        with torch.no_grad():
            inputs = self.model.data_preprocessor(pseudo_collate([packed]), False)['inputs']
        _, height, width = packed['inputs'].shape
        pixels = np.zeros((*inputs.shape[2:], 3), np.uint8)
        pixels[:height, :width] = packed['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
        return View(path, packed, inputs, pixels, info)

    def views(self, images: list[str], count: int) -> list[View]:
        """Views of images, or without any of ``count`` spread evenly over the test data."""
        if images:
            return [self.view(path) for path in images]
        infos = [self.dataset.get_data_info(i) for i in spread(count, len(self.dataset))]
        return [self.view(info['img_path'], info) for info in infos]

    @torch.no_grad()
    def predict(self, view: View) -> Any:
        """The data sample that the toolkit's own inference gives."""
        with self.scope():
            return self.model.test_step(pseudo_collate([view.packed]))[0]

    @cached_property
    def dataset(self) -> Any:
        """The config's test data.

        Raises:
            PictureError: the files are not there.
        """
        try:
            with self.scope():
                return DATASETS.build(test_dataset(self.cfg))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise PictureError(f"the config's test data cannot be read ({error}): give an image "
                               'on the command line, or --data-root') from error

    @cached_property
    def metainfo(self) -> dict[str, Any]:
        """``classes``, ``palette`` ..., of image folders only where they are there.

        Raises:
            PictureError: the checkpoint was trained on other classes.
        """
        with self.scope():
            found = DATASETS.build({**test_dataset(self.cfg), 'lazy_init': True}).metainfo
        if found.get('classes') is None:
            with suppress(PictureError):
                found = self.dataset.metainfo
        if found.get('classes') is None:
            return {**found, 'classes': self.trained}
        lists = difference(self.trained, found['classes'])
        if lists and level_of_names(self.model) == logging.ERROR:
            raise PictureError("the checkpoint was trained on other classes than the data's, which "
                               f'would be drawn under wrong names: {lists}. Give the data the same '
                               'classes, in the same order')
        return found

    def class_name(self, label: int) -> str:
        """The name of a class, or its number where names are not known."""
        names = self.metainfo.get('classes') or ()
        return str(names[label]) if label < len(names) else f'class {label}'


def test_dataset(cfg: Config) -> Any:
    """The config of the test data without wrappers; of joined data sets the first.

    Raises:
        PictureError: there is none with a pipeline.
    """
    name = 'test_dataloader' if cfg.get('test_dataloader') else 'val_dataloader'
    if not cfg.get(name):
        raise PictureError('the config has no test_dataloader, whose pipeline loads images')
    for dataset in data_sets(cfg[name].get('dataset')):
        if dataset.get('pipeline'):
            return dataset
    raise PictureError(f"the config's {name} has no data set with a pipeline, which would load "
                       'images')


def load_subject(cfg: Config, name: str, checkpoint: str | Path | None,
                 trust: bool = False) -> Subject:
    """Build a config's model, a distilled one without its teacher, and load a checkpoint.

    Raises:
        PictureError: there is no such checkpoint, or it does not fit the model.
    """
    if cfg.get('model') is None:
        raise PictureError(f"the config '{name}' has no model")
    # test-time augmentation wraps a model
    settings = dict(without_teachers(cfg.model.get('module', cfg.model)))
    if cfg.get('data_preprocessor') is not None:
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = MODELS.build(settings).eval()
        if checkpoint is None:
            return Subject(cfg, name, model, 'random weights', [])
        trained = load_weights(model, checkpoint, trust)
    return Subject(cfg, name, model, short_path(checkpoint), trained)


def load_weights(model: nn.Module, checkpoint: str | Path, trust: bool) -> list[str]:
    """Load the weights of a whole model, nothing missing or left over; the names of its classes."""
    try:
        content = read_checkpoint(checkpoint, trust=trust)
        weights = take_weights(content, checkpoint)
    except (FileNotFoundError, CheckpointError) as error:
        raise PictureError(str(error)) from error
    try:
        check_finite(weights, names_of(model))
        model.load_state_dict(weights)
    except (CheckpointError, RuntimeError) as error:
        reason = ' '.join(str(error).split())[:400]
        raise PictureError(f"the checkpoint '{checkpoint}' does not fit the config's model: "
                           f'{reason}') from error
    return classes_in(content)


def token_grid(backbone: Any, inputs: Tensor) -> tuple[int, int]:
    """The (h, w) patches into which a backbone cuts images (B, 3, H, W)."""
    height, width = backbone.patch_embed.patch_size
    return -(-inputs.shape[2] // height), -(-inputs.shape[3] // width)


def spread(count: int, size: int) -> list[int]:
    """``count`` indices spread evenly over ``size``, or all where there are fewer."""
    count = min(count, size)
    return [(2 * i + 1) * size // (2 * count) for i in range(count)]


def short_path(path: str | Path) -> str:
    """The last folder and the name of a file."""
    return '/'.join(Path(path).parts[-2:])


@torch.no_grad()
def record(modules: Iterable[nn.Module], call: Callable[[Tensor], Any], inputs: Tensor
           ) -> dict[Any, tuple[Any, Any]]:
    """The first input and the output of each module during ``call(inputs)``, in their order."""
    seen: dict[nn.Module, tuple[Any, Any]] = {}

    def keep(module: nn.Module, args: tuple, output: Any) -> None:
        seen[module] = args[0], output

    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_hook(keep))
        call(inputs)
    return seen
