"""Export in order: deploy, export, write aside, prove in the runtime, then keep."""
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmengine.config import Config

from vit_plugin.errors import UserError
from vit_plugin.files import check_new, written_whole
from vit_plugin.toolkits import how_to_install

from . import proof
from .accuracy import evaluate, predict_by_file
from .answers import toolkit_answers
from .deployed import Deployed
from .formats import FORMATS
from .metadata import describe
from .program import check_torch, make_program
from .runtimes import Run, open_file
from .source import load_model, noise_images, read_image, test_images
from .tasks import deploy


@dataclass
class Settings:
    """How a model is exported.

    Args:
        format: A key of `FORMATS`.
        target: The file to write.
        size: (H, W) of the image that it is exported with; None for the backbone's ``img_size``.
        fixed: True if this is the only size.
        logits: Give a segmentor's logits in place of its labels.
        images: Files to prove it with; empty for the first ones of the test data.
        check: Compute the metrics of the test data, too.
        trust: Run the code that the checkpoint may bring.
    """

    format: str
    target: Path
    size: tuple[int, int] | None = None
    fixed: bool = False
    logits: bool = False
    images: Sequence[str] = field(default_factory=tuple)
    check: bool = False
    trust: bool = False


def export_model(cfg: Config, checkpoint: str, settings: Settings) -> None:
    """Write a config's model with the weights of a checkpoint, and print the proof.

    Raises:
        UserError: it cannot be exported, or the file answers otherwise; no file is left then.
    """
    check_torch()
    check_libraries(settings.format)
    for path in files_of(settings.target):
        check_new(path)
    model, classes = load_model(cfg, checkpoint, settings.trust)
    size = settings.size or example_size(model)
    deployed = deploy(model, settings.logits)
    check_format(deployed.task, settings.format)
    images = given_images(cfg, settings)  # a mistake in them shows before minutes of work
    print(f'Exporting {type(model).__name__} for {sizes_text(deployed, size, settings.fixed)} ...')
    program = make_program(deployed, size, settings.fixed)
    metadata = describe(cfg, deployed, checkpoint, classes, size if settings.fixed else None)
    with TemporaryDirectory() as folder:
        path = Path(folder, settings.target.name)
        FORMATS[settings.format].write(program, deployed, metadata, path)
        run = open_file(path, tuple(deployed.outputs))
        report(run, model, deployed, images, size, settings.fixed)
        if settings.check:
            print_metrics(cfg, run, model, deployed.task)
        keep(path, settings.target)


def check_libraries(name: str) -> None:
    """Raise `UserError` where a library that a format needs is not installed."""
    missing = [library for library in FORMATS[name].libraries if find_spec(library) is None]
    if missing:
        raise UserError(f'--to {name} needs {", ".join(missing)}, not installed: '
                        f'{how_to_install("export")}')


def check_format(task: str, name: str) -> None:
    """Raise `UserError` for a format in which a task's models do not run."""
    if task == 'detection' and name == 'pt2':
        raise UserError('a detector is exported with --to onnx or openvino: a program of '
                        'torch.export fails where fewer than two boxes are found')


def files_of(target: Path) -> list[Path]:
    """The files of an exported model, of OpenVINO two; the one that is named is last."""
    return [target.with_suffix('.bin'), target] if target.suffix == '.xml' else [target]


def example_size(model: Any) -> tuple[int, int]:
    """The image size that the backbone's arguments name."""
    backbone = model.backbone
    if not hasattr(backbone, 'grid'):
        raise UserError(f'a {type(backbone).__name__} names no image size: give one with --size')
    return tuple(places * side
                 for places, side in zip(backbone.grid, backbone.patch_embed.patch_size))


def sizes_text(model: Deployed, size: tuple[int, int], fixed: bool) -> str:
    """``any number of images of any height and width``."""
    count = 'any number of images' if model.any_batch else 'one image at a time'
    return f'{count}, {size[0]}x{size[1]}' if fixed else f'{count}, of any height and width'


def given_images(cfg: Config, settings: Settings) -> list[np.ndarray]:
    """Two images to prove the file with."""
    if settings.images:
        return [read_image(path) for path in settings.images]
    found = test_images(cfg, 2)
    if not found:
        print("The config's test data are not there: compared on random pixels. --images names "
              'real ones.')
    return found or noise_images(2)


def report(run: Run, model: Any, deployed: Deployed, images: Sequence[np.ndarray],
           size: tuple[int, int], fixed: bool) -> None:
    """Prove the file and print the differences and times.

    Raises:
        UserError: the file answers otherwise than the model.
    """
    sizes = [size] if fixed else [size, *proof.other_sizes(size)]
    batches = [images] if deployed.any_batch else [[image] for image in images]
    for batch in batches:
        for result in proof.prove(run, model, deployed.task, batch, sizes):
            print(f'  {proof.line(result)}')
    pixels = proof.resized(images[:1], size)
    original = proof.milliseconds(lambda: toolkit_answers(model, deployed.task, pixels))
    exported = proof.milliseconds(lambda: run(pixels))
    print(f'  one image of {size[0]}x{size[1]}: {exported:.0f} ms, the original {original:.0f} ms')


def print_metrics(cfg: Config, run: Run, model: Any, task: str) -> None:
    """Print the metrics of the test data, by the file and by the original."""
    original = evaluate(cfg, copy.copy(model).test_step)
    exported = evaluate(cfg, predict_by_file(run, task))
    for name, value in original.items():
        print(f'  {name}: {exported[name]:.4g}, the original {value:.4g}')


def keep(source: Path, target: Path) -> None:
    """Copy the files of an exported model to their place, each whole."""
    for path, final in zip(files_of(source), files_of(target)):
        with written_whole(final) as file:
            file.write(path.read_bytes())
