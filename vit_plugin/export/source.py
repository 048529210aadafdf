"""Trained models and test images, from a config and a checkpoint."""
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope

from vit_plugin.checkpoints import read_checkpoint
from vit_plugin.checks.classes import classes_in
from vit_plugin.checks.findings import raise_errors
from vit_plugin.checks.weights import (
    check_checkpoint_file,
    check_finite_weights,
    check_weights,
)
from vit_plugin.distillation.student_config import without_teachers
from vit_plugin.errors import UserError
from vit_plugin.toolkits import data_sets


def load_model(cfg: Config, checkpoint: str, trust: bool = False) -> tuple[Any, list[str]]:
    """A config's model with the weights of a checkpoint, and the names of its classes.

    A distilled model comes without its teacher, one for test-time augmentation without that.

    Args:
        cfg: The config.
        checkpoint: A file or an address.
        trust: Run the code that the checkpoint may bring.

    Raises:
        UserError: there is no model or no such checkpoint, they do not go together, or weights
            are NaN or infinite.
    """
    if cfg.get('model') is None:
        raise UserError(f"the config '{cfg.filename}' has no model")
    raise_errors(check_checkpoint_file(checkpoint))
    content = read_checkpoint(checkpoint, trust=trust)
    settings = dict(without_teachers(cfg.model.get('module', cfg.model)))
    if cfg.get('data_preprocessor') is not None:
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = MODELS.build(settings).eval()
    raise_errors(check_finite_weights(model, content, checkpoint))
    raise_errors(check_weights(model, content, checkpoint))
    return model, classes_in(content)


def test_images(cfg: Config, count: int) -> list[np.ndarray]:
    """The first images of the config's test data, RGB; none where the data are not there."""
    loader = cfg.get('test_dataloader') or {}
    found: list[np.ndarray] = []
    for settings in data_sets(loader.get('dataset')):
        if settings.get('pipeline'):
            with suppress(FileNotFoundError, NotADirectoryError, UserError), \
                    DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
                dataset = DATASETS.build({**settings, 'pipeline': []})
                infos = [dataset.get_data_info(i) for i in range(min(count, len(dataset)))]
                found += [read_image(info['img_path']) for info in infos]
    return found[:count]


def read_image(path: str | Path) -> np.ndarray:
    """An image file as RGB (H, W, 3).

    Raises:
        UserError: there is none.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        state = 'is no image that OpenCV can read' if Path(path).exists() else 'is not there'
        raise UserError(f"the image '{path}' {state}")
    return np.ascontiguousarray(image[..., ::-1])


def noise_images(count: int, sides: Sequence[int] = (24, 32)) -> list[np.ndarray]:
    """Random blots, for models whose data are not there."""
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (count, *sides, 3)).astype(np.uint8))
