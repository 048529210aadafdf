"""Reading the values that the toolkits' configs have in common."""
from collections.abc import Mapping, Sequence
from typing import Any

from vit_plugin.errors import UserError

GELU = dict(type='GELU')
LN = dict(type='LN')


def refuse(name: str, value: Any, reason: str) -> None:
    """Raise `ValueError` for an argument that the architecture has no place for."""
    raise UserError(f'{name}={value!r} is not supported: {reason}')


def norm_eps(name: str, cfg: Any) -> float:
    """The epsilon of a ``norm_cfg``, which must be a trained LayerNorm."""
    rest = dict(cfg) if isinstance(cfg, Mapping) else {}
    eps = rest.pop('eps', 1e-5)
    if rest.pop('requires_grad', True) is not True:
        refuse(name, cfg, 'norms are frozen with their stage, by frozen_stages')
    if rest != LN:
        refuse(name, cfg, "norms are LayerNorms, dict(type='LN', eps=...)")
    return eps


def activation(name: str, cfg: Any) -> str:
    """The name of an ``act_cfg`` without its scope; the backbone knows which there are."""
    if not isinstance(cfg, Mapping) or set(cfg) != {'type'} or not isinstance(cfg['type'], str):
        refuse(name, cfg, "give an activation without arguments, e.g. dict(type='GELU')")
    return cfg['type'].rpartition('.')[2]


def first_weights(init_cfg: Any, pretrained: Any) -> Any:
    """``init_cfg``, or that of the file or address ``pretrained``."""
    if pretrained is None:
        return init_cfg
    if init_cfg:
        raise UserError(f'init_cfg={init_cfg!r} and pretrained={pretrained!r} both say where the '
                        'first weights come from: keep one')
    if not isinstance(pretrained, str):
        raise UserError(f'pretrained must be a file or an address, got {pretrained!r}')
    return dict(type='Pretrained', checkpoint=pretrained)


def whole_patches(size: Any, patch_size: int) -> Any:
    """The pixels of the whole patches in an image, one number or a pair."""
    if isinstance(size, Sequence):
        sizes = [whole_patches(length, patch_size) for length in size]
        return sizes[0] if len(sizes) == 1 else sizes
    return size // patch_size * patch_size


def flatten(name: str, cfgs: Any, known: Mapping[str, str]) -> dict[str, Any]:
    """Nested settings of all layers under the names of ``known``, which has one for each path.

    A sequence has an item for each layer; they must be equal.

    Raises:
        ValueError: a setting that is not in ``known``, or layers that differ.
    """
    if isinstance(cfgs, Sequence) and not isinstance(cfgs, str):
        first, *others = [flatten(name, cfg, known) for cfg in cfgs] or [{}]
        if any(other != first for other in others):
            refuse(name, cfgs, 'all layers have the same settings')
        return first
    if not isinstance(cfgs, Mapping):
        refuse(name, cfgs, 'give a dict')
    result = {}
    for key, value in cfgs.items():
        path = f'{name}.{key}'
        if path in known:
            result[known[path]] = value
        elif any(other.startswith(f'{path}.') for other in known):
            result.update(flatten(path, value, known))
        else:
            refuse(path, value, f'what can be set is {", ".join(known)}')
    return result
