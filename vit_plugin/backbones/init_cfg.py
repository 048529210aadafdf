"""The backbones' ``init_cfg``."""
from inspect import signature
from os import PathLike

from mmengine.model import PretrainedInit

from vit_plugin.checkpoints import load_pretrained
from vit_plugin.errors import UserError, did_you_mean

from .arguments import Config, InitCfg, pair

KEYS = tuple(signature(load_pretrained).parameters)[1:]  # without the backbone


def split_init_cfg(init_cfg: InitCfg) -> tuple[list[Config], list[Config]]:
    """The arguments of `load_pretrained`, one dict for each ``'Pretrained'``, and all other dicts.

    Raises:
        UserError: it is neither None nor a dict or a list of dicts with a ``type``, or an argument
            of a ``'Pretrained'`` is wrong.
    """
    configs: object = [] if init_cfg is None else init_cfg
    if isinstance(init_cfg, dict):
        configs = [init_cfg]
    if not isinstance(configs, (list, tuple)):
        raise UserError('init_cfg must be a dict or a list of dicts, e.g. '
                        f"dict(type='Pretrained', checkpoint='FILE'), got {init_cfg!r}")
    pretrained, others = [], []
    for cfg in configs:
        if not isinstance(cfg, dict) or 'type' not in cfg:
            raise UserError("each dict of init_cfg must have a type, e.g. type='Pretrained' for "
                            f'weights from a file, got {cfg!r}')
        if cfg['type'] in ('Pretrained', PretrainedInit):
            pretrained.append(check_pretrained({key: cfg[key] for key in cfg if key != 'type'}))
        else:
            others.append(cfg)
    return pretrained, others


def check_pretrained(arguments: Config) -> Config:
    """Arguments of `load_pretrained` with ``source_grid`` as a pair, or raise `UserError`."""
    for key, value in arguments.items():
        if key not in KEYS:
            near = did_you_mean(key, KEYS) or f', which takes {", ".join(KEYS)}'
            raise UserError(f"init_cfg has {key}={value!r}, no argument of 'Pretrained'{near}")
    checkpoint, prefix = arguments.get('checkpoint'), arguments.get('prefix')
    if not isinstance(checkpoint, (str, PathLike)) or checkpoint == '':
        raise UserError(f"init_cfg with type='Pretrained' has checkpoint={checkpoint!r}, but must "
                        'have a file or an address; for random weights, leave init_cfg out')
    if not isinstance(prefix, (str, type(None))):
        raise UserError(f"init_cfg has prefix={prefix!r}, but must have a text as 'backbone.'")
    threshold = arguments.get('threshold', 1)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) \
            or not 0 <= threshold <= 1:
        raise UserError(f'init_cfg has threshold={threshold!r}, but must have a number in [0, 1], '
                        'the share of the parameters that the file must have')
    if arguments.get('source_grid') is not None:
        return {**arguments, 'source_grid': pair('source_grid of init_cfg',
                                                 arguments['source_grid'])}
    return arguments
