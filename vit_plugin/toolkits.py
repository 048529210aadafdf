"""OpenMMLab's toolkits: their names, how they are installed and imported, and what they wrap.

Imports nothing but Python's own modules, so that the doctor runs where everything is missing.
"""
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module, metadata
from io import StringIO
from types import ModuleType
from typing import Any

TOOLKITS = ('mmpretrain', 'mmdet', 'mmseg')
# How lines begin that `datasets` of onedl-mmpretrain 1.3.6, onedl-mmdetection 3.5.1 and
# onedl-mmsegmentation 1.4.2 print where the package onedl is absent, which nothing here needs. They
# are meant for debugging only, but mmengine's print_log prints whatever it gets without a logger.
NOISE = 'Could not import OneDL'
# Library -> the extra of setup.cfg that brings it. Every toolkit brings the first three.
EXTRAS = {'cv2': 'mmpretrain', 'mmcv': 'mmpretrain', 'torchvision': 'mmpretrain',
          'mmengine': 'mmengine', 'mmpretrain': 'mmpretrain', 'mmdet': 'mmdet', 'mmseg': 'mmseg',
          'transformers': 'mmpretrain', 'datasets': 'huggingface', 'mlxtend': 'demo',
          'pytorch_grad_cam': 'demo', 'matplotlib': 'demo', 'onnx': 'export',
          'peft': 'lora', 'onnxscript': 'export', 'onnxruntime': 'export', 'openvino': 'export'}


def import_toolkit(name: str) -> ModuleType:
    """Import a module; what is printed meanwhile is shown, but for `NOISE`."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            return import_module(name)
    finally:
        print(*(line for line in printed.getvalue().splitlines(keepends=True)
                if not line.startswith(NOISE)), sep='', end='')


def missing_library(error: ModuleNotFoundError) -> str | None:
    """Install hint for a known missing library, without the full stop, else None."""
    if error.name not in EXTRAS:
        return None
    return f'{error.name} is needed and not installed: {how_to_install(EXTRAS[error.name])}'


def how_to_install(extra: str) -> str:
    """The command that brings an extra of setup.cfg, without the full stop.

    OpenMMLab's libraries exist in two distributions, of which the one that is there is named.
    """
    doctor = '. `vit-plugin doctor` shows what is installed'
    maintained = f"pip install 'vit-plugin[{extra}]'"
    original = "pip install 'vit-plugin[openmmlab]'"
    if extra in ('demo', 'huggingface', 'export', 'lora') or is_installed('onedl-mmengine'):
        return maintained + doctor
    if is_installed('mmengine') or is_installed('mmengine-lite'):
        return f"{original} (OpenMMLab's own releases, as mmengine is here){doctor}"
    return f"{maintained} (the maintained distribution) or {original} (OpenMMLab's own){doctor}"


def is_installed(distribution: str) -> bool:
    """True if pip knows the distribution."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def unwrap(model: Any) -> Any:
    """The model without the wrappers of DDP and test-time augmentation."""
    from mmengine.model import BaseTTAModel, is_model_wrapper

    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def data_sets(dataset: Any) -> Iterator[Any]:
    """A data set or the config of one, if there is one, and those that it wraps or joins."""
    if dataset is not None:
        yield dataset
        part = dataset.get if isinstance(dataset, dict) else partial(getattr, dataset)
        for inner in (part('dataset', None), *(part('datasets', None) or ())):
            yield from data_sets(inner)


def innermost(dataset: Any) -> Iterator[Any]:
    """The data sets within wrappers, or the data set itself."""
    for part in data_sets(dataset):
        if getattr(part, 'dataset', None) is None and getattr(part, 'datasets', None) is None:
            yield part
