"""The layouts: how each source names and orders the weights, and how to tell it by its keys.

OpenMMLab's names of a whole classifier (``backbone.``, ``head.``) are the form in the middle:
every layout converts to it, some back.
"""
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from vit_plugin.errors import shorten

from ..errors import CheckpointError
from . import (
    dino,
    huggingface,
    huggingface5,
    openmmlab,
    swin_v2,
    timm_swin,
    timm_vit,
    to_huggingface,
    torchvision,
)

Convert = Callable[[dict[str, Tensor]], dict[str, Tensor]]


class Layout(NamedTuple):
    """One direction of a conversion, and the keys of every state dict that it is for."""

    name: str
    signature: tuple[str, ...]
    convert: Convert


LAYOUTS = (
    Layout('OpenMMLab',                openmmlab.SWIN,           openmmlab.from_swin),
    Layout('OpenMMLab',                openmmlab.VIT,            openmmlab.from_vit),
    Layout('OpenMMLab, mmseg ViT',     openmmlab.MULTIHEAD_VIT,  openmmlab.from_vit),
    Layout('official DeiT or timm',    timm_vit.VIT,             timm_vit.from_vit),
    Layout('official Swin V2',         swin_v2.OFFICIAL,         swin_v2.from_official),
    Layout('timm',                     swin_v2.TIMM,             swin_v2.from_timm),
    Layout('timm swinv2_cr',           swin_v2.TIMM_CR,          swin_v2.from_timm_cr),
    Layout('Hugging Face',             swin_v2.HUGGING_FACE,     swin_v2.from_hugging_face),
    Layout('torchvision',              swin_v2.TORCHVISION,      swin_v2.from_torchvision),
    Layout('official Swin or old timm', timm_swin.OFFICIAL_SWIN, timm_swin.from_official),
    Layout('timm',                     timm_swin.SWIN,           timm_swin.from_timm),
    Layout('Hugging Face',             huggingface.VIT,          huggingface.from_vit),
    Layout('Hugging Face MaskFormer',  huggingface.MASKFORMER,   huggingface.from_maskformer),
    Layout('Hugging Face',             huggingface.SWIN,         huggingface.from_swin),
    Layout('Hugging Face',             huggingface5.VIT,         huggingface5.from_vit),
    Layout('Hugging Face',             huggingface5.DINOV2,      huggingface5.from_vit),
    Layout('Hugging Face',             huggingface5.SWIN,        huggingface5.from_swin),
    Layout('Hugging Face',             dino.HUGGING_FACE,        dino.from_hugging_face),
    Layout('Hugging Face',             dino.HUGGING_FACE_5,      dino.from_hugging_face),
    Layout('torchvision',              torchvision.VIT,          torchvision.from_vit),
    Layout('torchvision',              torchvision.SWIN,         torchvision.from_swin),
)
# The ways back, for models with these keys of OpenMMLab.
TARGETS = (
    Layout('timm',                     openmmlab.VIT,            timm_vit.to_vit),
    Layout('timm',                     swin_v2.OPENMMLAB,        swin_v2.to_timm),
    Layout('timm',                     openmmlab.SWIN,           timm_swin.to_timm),
    Layout('official',                 openmmlab.VIT,            timm_vit.to_official),
    Layout('official',                 swin_v2.OPENMMLAB,        swin_v2.to_official),
    Layout('official',                 openmmlab.SWIN,           timm_swin.to_official),
    Layout('huggingface',              openmmlab.DISTILLED,      to_huggingface.to_distilled),
    Layout('huggingface',              openmmlab.VIT,            to_huggingface.to_vit),
    Layout('huggingface',              swin_v2.OPENMMLAB,        to_huggingface.to_swin_v2),
    Layout('huggingface',              openmmlab.SWIN,           to_huggingface.to_swin),
)


def to_openmmlab(weights: Mapping[str, Tensor],
                 prefix: str | None = None) -> tuple[dict[str, Tensor], str]:
    """Recognise the layout and rename everything to ``backbone.`` and ``head.``.

    Args:
        weights: A state dict. Keys outside the backbone and its head are kept.
        prefix: Where the backbone starts, e.g. ``'backbone.'``; found by itself unless there are
            several.

    Returns:
        The converted weights, and the name of the layout they had.

    Raises:
        UserError: no known layout, several backbones, or shapes no such model has.
    """
    layout, prefix = locate(weights, prefix)
    owner, heads = huggingface.heads_beside(prefix)
    inside, outside = {}, {}
    for key, value in weights.items():
        if key.startswith(prefix):
            inside[key[len(prefix):]] = value
        elif key.startswith(heads):
            inside[key[len(owner):]] = value
        elif not key.startswith('backbone.'):
            outside[key] = value
    try:
        inside = layout.convert(inside)
    except (KeyError, RuntimeError, IndexError) as error:
        raise CheckpointError(f'it has the names of {layout.name}, but a weight is absent or of '
                              f'another shape: {error}') from error
    for key, value in inside.items():
        start = '' if key.startswith('head.') else 'backbone.'
        outside[start + key] = value
    return outside, layout.name


def from_openmmlab(weights: Mapping[str, Tensor], to: str) -> dict[str, Tensor]:
    """Convert ``backbone.`` and ``head.`` of OpenMMLab to the target of a row of `TARGETS`.

    Whatever is neither (a neck, a detection head) has no place there and is left out.

    Raises:
        UserError: there is no way from this backbone to this layout.
    """
    inside = {key.removeprefix('backbone.'): value for key, value in weights.items()
              if key.startswith(('backbone.', 'head.'))}
    for target in TARGETS:
        if target.name == to and all(key in inside for key in target.signature):
            return target.convert(inside)
    raise CheckpointError(f"there is no way to '{to}' from a backbone with the keys "
                          f'{shorten(weights)}')


def locate(keys: Iterable[str], prefix: str | None = None) -> tuple[Layout, str]:
    """The layout of a state dict, and the prefix of its backbone's keys.

    ``prefix`` may be as in the file, with ``module.`` of a parallel training, or an outer part:
    ``'teacher'`` for ``'teacher.backbone.'``.
    """
    backbones = find_backbones(dict.fromkeys(keys))
    if not backbones:
        raise CheckpointError(
            'neither a Swin nor a ViT of OpenMMLab, the official code, timm, torchvision or '
            f'Hugging Face; its first keys: {list(keys)[:5]}')
    whole = prefix.rstrip('.') + '.' if prefix else ''
    given = (whole, re.sub(r'(^|\.)module\.', r'\1', whole))
    wanted = ([start for start in backbones if prefix and start in given]
              or [start for start in backbones if start.startswith(given)])
    if not wanted:
        raise CheckpointError(f"no backbone is under prefix='{prefix}', but under "
                              f'{list(backbones)}')
    if len(wanted) > 1 and 'backbone.' not in wanted:
        raise CheckpointError(f"it holds several backbones, under {wanted}: say which, e.g. "
                              f"prefix='{wanted[0]}' of init_cfg, or --prefix of "
                              '`vit-plugin convert`')
    start = 'backbone.' if 'backbone.' in wanted else wanted[0]
    return backbones[start], start


def find_backbones(keys: Mapping[str, None]) -> dict[str, Layout]:
    """The layout of each backbone, the first that fits, by the prefix of its keys."""
    found: dict[str, Layout] = {}
    for layout in LAYOUTS:
        first, *others = layout.signature
        starts = [key.removesuffix(first) for key in keys if key.endswith(first)]
        for start in starts:
            if start[-1:] in ('', '.') and all(start + other in keys for other in others):
                found.setdefault(start, layout)
    for start, layout in list(found.items()):
        if layout.signature is huggingface.MASKFORMER:
            del found[start + 'model.']  # the same backbone without its norms
    return found
