"""The forms of a teacher's config, and the models that they describe."""
from collections.abc import Mapping
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any

from mmengine import Config
from mmengine.hub import get_config
from mmengine.model import BaseModel, BaseModule, ImgDataPreprocessor
from mmengine.registry import DefaultScope
from mmengine.utils import get_object_from_string
from torch import Tensor, nn

from vit_plugin.checkpoints import CheckpointError, check_finite, names_of, read_state_dict
from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.registry import MODELS
from vit_plugin.toolkits import TOOLKITS

# Settings of the toolkits' data preprocessors: of the normalisation, and others.
OF_PIXELS = ('mean', 'std', 'to_rgb', 'bgr_to_rgb', 'rgb_to_bgr')
OF_BATCHES = ('type', 'num_classes', 'to_onehot', 'batch_augments', 'non_blocking', 'test_cfg',
              'pad_size_divisor', 'pad_value', 'pad_mask', 'mask_pad_value', 'pad_seg',
              'seg_pad_value', 'boxtype2tensor', 'size', 'size_divisor', 'pad_val', 'seg_pad_val')
# Arguments of `Teacher` that stand in a teacher's dict beside its config and checkpoint.
OPTIONS = ('resize', 'channels_last', 'compile', 'weight')

TeacherConfig = dict[str, Any] | str | PathLike


def split_options(teacher: TeacherConfig) -> tuple[TeacherConfig, dict[str, Any]]:
    """A teacher's own config, and the arguments of `Teacher` that stand beside it."""
    if not isinstance(teacher, dict):
        return teacher, {}
    options = {key: teacher[key] for key in OPTIONS if key in teacher}
    others = {key: value for key, value in teacher.items() if key not in (*OPTIONS, 'store')}
    return others, options


def build_model(teacher: TeacherConfig, scope: str | None) -> nn.Module:
    """The model of a teacher with its weights loaded, see `build_teacher`."""
    config, checkpoint = parse_teacher(teacher)
    kind = config.get('type')  # a class in configs that import what they name
    toolkit = str(getattr(kind, '__module__', kind)).split('.')[0]
    scope = config.pop('_scope_', toolkit if toolkit in TOOLKITS else scope)
    with DefaultScope.overwrite_default_scope(scope):
        model = build_module(config)
    if checkpoint is None:
        init_weights(model)
        return model
    weights = read_state_dict(checkpoint)
    try:
        check_finite(weights, names_of(model))
        model.load_state_dict(weights)
    except (RuntimeError, CheckpointError) as error:
        raise UserError(f"the teacher's checkpoint '{checkpoint}' does not fit its config: "
                        f'{error}') from error
    return model


def build_module(config: dict[str, Any]) -> nn.Module:
    """Build a model of a toolkit, a bare module with its normalisation, or a function."""
    if 'function' in config:
        bare: nn.Module = Function(config.pop('function'))
    else:
        kind = config['type']
        if isinstance(kind, str):
            with MODELS.switch_scope_and_registry(None) as registry:
                kind = registry.get(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return MODELS.build(config)
        pixels = config.pop('data_preprocessor', None)
        bare = MODELS.build(config)
        config = dict(data_preprocessor=pixels)
    if config.get('data_preprocessor'):
        bare.data_preprocessor = build_normalisation(config['data_preprocessor'])
    return bare


def build_normalisation(config: Mapping[str, Any]) -> ImgDataPreprocessor:
    """The normalisation of any toolkit's data preprocessor.

    Raises:
        UserError: it has a setting that none of them knows.
    """
    for key in config.keys() - {*OF_PIXELS, *OF_BATCHES}:
        near = did_you_mean(key, OF_PIXELS)
        raise UserError(f"data_preprocessor of a teacher has no '{key}'{near or '.'}")
    pixels = {key: config[key] for key in OF_PIXELS if key in config}
    pixels.setdefault('bgr_to_rgb', pixels.pop('to_rgb', False))
    return ImgDataPreprocessor(**pixels)


class Function(nn.Module):
    """A function of pixels (B, 3, H, W), by its importable name, as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.function = get_object_from_string(name)
        if not callable(self.function):
            raise UserError(f"the teacher's function {name!r} is nothing that can be called")

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def init_weights(model: nn.Module) -> None:
    """Load what ``init_cfg`` names, and leave models of timm and Hugging Face as they are.

    mmengine would call their own ``init_weights``, which start from random weights.
    """
    for module in model.modules():
        if type(module).__module__.startswith(('timm.', 'transformers.')):
            module.__dict__['is_init'] = True  # mmengine's mark
    if isinstance(model, BaseModule):
        model.init_weights()


def parse_teacher(teacher: TeacherConfig) -> tuple[dict[str, Any], str | None]:
    """The model config and the checkpoint of what `build_teacher` takes."""
    if isinstance(teacher, (str, PathLike)):
        config = read_config(teacher)
        return model_config(config), require_checkpoint(config.get('load_from'), teacher)
    if not isinstance(teacher, dict):
        raise UserError('teacher must be a config (dict) or the path of a config file, '
                        f'got {teacher!r}')
    teacher = deepcopy(dict(teacher))
    checkpoint = teacher.pop('checkpoint', '')
    if 'config' in teacher:
        refuse_others(teacher, 'config')
        config = teacher['config']
        config = config if isinstance(config, dict) else read_config(config)
        model = model_config(config) if 'model' in config else config
    else:
        model = teacher
    if 'function' in model:
        refuse_others(model, 'function', 'data_preprocessor')
        if checkpoint:
            raise UserError(f'checkpoint={checkpoint!r} of a teacher that is a function is not '
                            f"read: {model['function']} loads its weights itself")
        return model, None
    return model, None if checkpoint is None else require_checkpoint(checkpoint, model)


def refuse_others(teacher: dict[str, Any], *known: str) -> None:
    """Raise `UserError` for keys that nothing reads."""
    for key in teacher.keys() - set(known):
        near = did_you_mean(key, [*known, 'checkpoint', 'store', *OPTIONS])
        raise UserError(f"teacher=dict({known[0]}=...) has no '{key}'{near or '.'}")


def require_checkpoint(checkpoint: str | None, source: Any) -> str:
    """Return ``checkpoint``, or raise `UserError` where it is not named."""
    if not checkpoint:
        raise UserError(
            f'the teacher {source!r} has no checkpoint, so it knows nothing to teach: add '
            "checkpoint='path.pth', or checkpoint=None if its config brings the weights itself")
    return str(checkpoint)


def read_config(path: str | PathLike) -> Config:
    """Read a config file, or a toolkit's (``'mmdet::...'``), or raise `FileNotFoundError`."""
    if '::' in str(path):
        return get_config(str(path))
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no teacher config '{path}'")
    return Config.fromfile(path)


def model_config(config: dict[str, Any]) -> dict[str, Any]:
    """The model of a whole config, with the data preprocessor that stands beside it."""
    model = deepcopy(dict(config['model']))
    if config.get('default_scope'):
        model['_scope_'] = config['default_scope']
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', deepcopy(dict(config['data_preprocessor'])))
    return model


