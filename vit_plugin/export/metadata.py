"""The metadata of an exported file."""
import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from vit_plugin import __version__

from .deployed import Deployed


def describe(cfg: Config, model: Deployed, checkpoint: str, classes: Sequence[str],
             size: Sequence[int] | None) -> dict[str, Any]:
    """The metadata, of values that JSON has.

    Args:
        cfg: The config of the model.
        model: What is exported.
        checkpoint: Path of its weights.
        classes: Names of the classes; empty where nobody knows them.
        size: The only (H, W), None for any.
    """
    image = dict(layout='(batch, 3, height, width)', type='float32', channels='RGB',
                 values='0 to 255')
    return dict(
        vit_plugin=__version__, torch=torch.__version__, mmengine=version('mmengine'),
        task=model.task, image=image, batch='any' if model.any_batch else 1,
        size='any' if size is None else list(size), outputs=dict(model.outputs),
        classes=list(classes), done_inside=model.pixels.describe(),
        resize=resize_steps(cfg),
        config=Path(cfg.filename or '').name, checkpoint=Path(checkpoint).name,
        checkpoint_sha256=sha256(checkpoint))


def resize_steps(cfg: Config) -> list[dict[str, Any]]:
    """The steps of the test pipeline between loading and packing, which the caller repeats."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    steps = (loader.get('dataset') or {}).get('pipeline') or []
    kept = [step for step in steps if not str(step.get('type')).split('.')[-1].startswith(
        ('Load', 'Pack', 'Check'))]
    return [{key: plain(value) for key, value in step.items()} for step in kept]


def plain(value: Any) -> Any:
    """A config's value as JSON has it."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if isinstance(value, (int, float, str, type(None))) else str(value)


def sha256(path: str) -> str | None:
    """The hash of a file; None for an address."""
    if not Path(path).is_file():
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def version(library: str) -> str | None:
    """Its version, under either name of its distribution."""
    for name in (f'onedl-{library}', library):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
