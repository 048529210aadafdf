"""The Swins and ViTs in the configs that the installed toolkits bring (``.mim/configs``)."""
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

TOOLKITS = ('mmpretrain', 'mmdet', 'mmrotate', 'mmseg')
CLASSES = {'SwinTransformer': 'SwinTransformer', 'SwinTransformerV2': 'SwinTransformerV2',
           'VisionTransformer': 'DeiT',
           'DistilledVisionTransformer': 'DistilledDeiT'}
# They take a test_pipeline from a base that has none (mmpretrain 1.2.0 to 1.3.6).
UNREADABLE = ('swinv2-base-w12_8xb128_in21k-192px', 'swinv2-large-w12_8xb128_in21k-192px')
NAME = re.compile(rf"\b({'|'.join(CLASSES)})\b")


@dataclass
class Found:
    """A backbone in a toolkit's config, whose class it is, the place, and the optimizer section."""

    toolkit: str
    owner: str
    config: str
    path: tuple[str, ...]
    backbone: dict[str, Any]
    optimiser: dict[str, Any]


@cache
def find() -> list[Found]:
    """All of them, in the order of toolkits and files."""
    found = []
    for toolkit in TOOLKITS:
        spec = find_spec(toolkit)
        if spec is None or spec.origin is None:
            continue
        root = Path(spec.origin).parent / '.mim/configs'
        for file in sorted(root.rglob('*.py')):
            if '_base_' in file.parts or not mentions(file):
                continue
            if file.stem in UNREADABLE:
                continue
            config = Config.fromfile(file, import_custom_modules=False)
            for path, backbone in backbones(config.get('model', {})):
                owner, _, backbone['type'] = backbone['type'].rpartition('.')
                found.append(Found(toolkit, owner or toolkit, str(file.relative_to(root)), path,
                                   backbone, optimiser(config)))
    return found


@cache
def mentions(file: Path) -> bool:
    """Whether a config or one of its bases names one of the classes; reading it takes longer."""
    # strings over several lines are put together
    text = re.sub(r"['\"][ \\]*(#.*)?\n\s*['\"]", '', file.read_text())
    bases = (file.parent / base for base in re.findall(r"['\"]([\w./-]+\.py)['\"]", text))
    return bool(NAME.search(text)) or any(base.is_file() and base != file and mentions(base)
                                          for base in bases)


def backbones(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    if isinstance(part, dict):
        if str(part.get('type')).rpartition('.')[2] in CLASSES:
            yield path, ConfigDict(part).to_dict()
        for key, value in part.items():
            yield from backbones(value, (*path, key))


def optimiser(config: Config) -> dict[str, Any]:
    wrapper = config.get('optim_wrapper') or {}
    return {key: deepcopy(wrapper[key]) for key in ('constructor', 'paramwise_cfg')
            if wrapper.get(key)}
