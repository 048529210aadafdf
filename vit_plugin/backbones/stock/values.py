"""Reading the values that the toolkits' configs have in common."""
from collections.abc import Mapping, Sequence
from typing import NoReturn

from vit_plugin.errors import UserError

from ..arguments import Config, InitCfg

GELU = dict(type='GELU')
LN = dict(type='LN')


def refuse(name: str, value: object, reason: str) -> NoReturn:
    """Raise `UserError` for an argument that the architecture has no place for."""
    raise UserError(f'{name}={value!r} is not supported: {reason}')


def norm_eps(name: str, cfg: object) -> float:
    """The epsilon of a ``norm_cfg``, which must be a trained LayerNorm."""
    rest = dict(cfg) if isinstance(cfg, Mapping) else {}
    eps: float = rest.pop('eps', 1e-5)
    if rest.pop('requires_grad', True) is not True:
        refuse(name, cfg, 'norms are frozen with their stage, by frozen_stages')
    if rest != LN:
        refuse(name, cfg, "norms are LayerNorms, dict(type='LN', eps=...)")
    return eps


def activation(name: str, cfg: object) -> str:
    """The name of an ``act_cfg`` without its scope; the backbone knows which there are."""
    if not isinstance(cfg, Mapping) or set(cfg) != {'type'} or not isinstance(cfg['type'], str):
        refuse(name, cfg, "give an activation without arguments, e.g. dict(type='GELU')")
    return str(cfg['type']).rpartition('.')[2]


def first_weights(init_cfg: InitCfg, pretrained: object) -> InitCfg:
    """``init_cfg``, or that of the file or address ``pretrained``."""
    if pretrained is None:
        return init_cfg
    if init_cfg:
        raise UserError(f'init_cfg={init_cfg!r} and pretrained={pretrained!r} both say where the '
                        'first weights come from: keep one')
    if not isinstance(pretrained, str):
        raise UserError(f'pretrained must be a file or an address, got {pretrained!r}')
    return dict(type='Pretrained', checkpoint=pretrained)


def whole_patches(size: int | Sequence[int], patch_size: int) -> int | list[int]:
    """The pixels of the whole patches in an image, one number or a pair."""
    if not isinstance(size, Sequence):
        return size // patch_size * patch_size
    sizes = [length // patch_size * patch_size for length in size]
    return sizes[0] if len(sizes) == 1 else sizes


def flatten(name: str, cfgs: object, known: Mapping[str, str]) -> Config:
    """Nested settings of all layers under the names of ``known``, which has one for each path.

    A sequence has an item for each layer; they must be equal.

    Raises:
        UserError: a setting that is not in ``known``, or layers that differ.
    """
    if isinstance(cfgs, Sequence) and not isinstance(cfgs, str):
        settings = [flatten(name, cfg, known) for cfg in cfgs]
        if any(other != settings[0] for other in settings):
            refuse(name, cfgs, 'all layers have the same settings')
        return settings[0] if settings else {}
    if not isinstance(cfgs, Mapping):
        refuse(name, cfgs, 'give a dict')
    result: Config = {}
    for key, value in cfgs.items():
        path = f'{name}.{key}'
        if path in known:
            result[known[path]] = value
        elif any(other.startswith(f'{path}.') for other in known):
            result.update(flatten(path, value, known))
        else:
            refuse(path, value, f'what can be set is {", ".join(known)}')
    return result
