"""The kinds of pictures of a model: what each shows, of which backbones."""
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.config import Config

from vit_plugin.backbones import DeiT, SwinTransformer

from . import attention, gradcam, positions, predictions, pyramid, rates, windows
from .subject import PictureError, Subject, load_subject


@dataclass(frozen=True)
class Kind:
    """One kind of picture."""

    draw: Callable[..., Figure]  # of a subject, and of views if it shows images
    images: int = 0  # of the test data, by default; 0 shows the model alone
    backbones: tuple[type, ...] = ()  # those it is for; all if empty
    instead: str = ''  # kinds for other backbones


BOTH = (DeiT, SwinTransformer)
KINDS = {
    'attention': Kind(attention.draw, 3, (DeiT,), 'windows or gradcam'),
    'windows': Kind(windows.draw, 1, (SwinTransformer,), 'attention or gradcam'),
    'gradcam': Kind(gradcam.draw, 3, BOTH, 'predictions'),
    'pyramid': Kind(pyramid.draw, 1, BOTH, 'predictions'),
    'predictions': Kind(predictions.draw, 6),
    'positions': Kind(positions.draw, 0, BOTH),
    'lr': Kind(rates.draw),
}
# Options of the command that change nothing in a kind of picture.
UNUSED = {**{name: ('num', 'data_root') for name, kind in KINDS.items() if not kind.images},
          'curves': ('num', 'data_root', 'cfg_options', 'trust_checkpoint')}
WEIGHTS = ('.pth', '.pt', '.safetensors')


def draw(name: str, cfg: Config, title: str, checkpoint: str | Path | None = None,
         images: list[str] | None = None, count: int | None = None, trust: bool = False) -> Figure:
    """The picture of a config's model.

    Args:
        name: One of `KINDS`.
        cfg: The config.
        title: What to call it in the title.
        checkpoint: Weights; None for random ones.
        images: Paths; None for ``count`` from the config's test data.
        count: How many; None for as many as are usual for this kind.
        trust: Run the code that the checkpoint may bring.

    Raises:
        PictureError: a file is missing, or the kind does not fit the model.
    """
    kind = KINDS[name]
    subject = load_subject(cfg, title, checkpoint, trust)
    check_backbone(name, subject)
    if not kind.images:
        return kind.draw(subject)
    return kind.draw(subject, subject.views(images or [], count or kind.images))


def check_backbone(name: str, subject: Subject) -> None:
    """Raise `PictureError` if the kind is for other backbones."""
    kind = KINDS[name]
    if kind.backbones and not isinstance(subject.backbone, kind.backbones):
        wanted = ' or a '.join(backbone.__name__ for backbone in kind.backbones)
        instead = f': use the kind {kind.instead}' if kind.instead else ''
        raise PictureError(f'{name} needs a {wanted}, and this config has a '
                           f'{type(subject.backbone).__name__}{instead}')


def split_inputs(inputs: list[str]) -> tuple[str | None, list[str]]:
    """The checkpoint, if there is one, and the images among command-line arguments."""
    weights = [path for path in inputs if path.split('?')[0].endswith(WEIGHTS)]
    if len(weights) > 1:
        raise PictureError(f'one picture shows one checkpoint, got {len(weights)}: '
                           f'{", ".join(weights)}')
    images = [path for path in inputs if path not in weights]
    return (weights[0] if weights else None), images


def check_used(name: str, options: Iterable[str], images: list[str], count: int | None) -> None:
    """Raise `PictureError` for arguments that would change nothing.

    Args:
        name: One of `KINDS`, or ``'curves'``.
        options: Names of the options that were given.
        images: Paths that were given.
        count: The number of images that was asked for.
    """
    for option in options:
        if option in UNUSED.get(name, ()):
            raise PictureError(f'--{option.replace("_", "-")} changes nothing in a picture of the '
                               f'kind {name}: leave it out')
    if images and name in UNUSED:
        raise PictureError(f'{name} shows the model alone and takes no images, got '
                           f'{", ".join(images)}. A checkpoint ends in {", ".join(WEIGHTS)}')
    if images and count:
        given = '1 is' if len(images) == 1 else f'{len(images)} are'
        raise PictureError(f'--num {count} counts images of the test data, and {given} given: '
                           'leave one of them out')
