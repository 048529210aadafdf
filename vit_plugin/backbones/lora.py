"""LoRA by the library peft: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
https://arxiv.org/abs/2106.09685."""
from collections.abc import MutableMapping
from typing import Any

from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .arguments import Config

BASE = 'base_layer.'  # what peft puts before the names of an adapted layer's own parameters


def LoRA(backbone: Config, **settings: Any) -> nn.Module:  # noqa: N802, the type in configs
    """A backbone of any toolkit, frozen, with low-rank adapters that learn beside its layers.

    It is the backbone itself, with its names in the state dict: ``qkv.weight`` stays, and
    ``qkv.lora_A.default.weight`` and ``qkv.lora_B.default.weight`` are beside it. So ``init_cfg``
    and ``load_from`` take the files that they take without adapters.

    Args:
        backbone: Its config.
        settings: Those of peft's ``LoraConfig``, for example ``r``, ``lora_alpha`` and
            ``lora_dropout``. ``target_modules`` are by default ``['qkv', 'proj']``, the linear
            layers of the attention.

    Raises:
        UserError: peft refuses a setting, or finds no such layer.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, which others need not pay

    model: nn.Module = MODELS.build(backbone)
    try:
        config = LoraConfig(**{'target_modules': ['qkv', 'proj'], **settings})
        inject_adapter_in_model(config, model)
    except (TypeError, ValueError) as error:
        raise UserError(f'LoRA cannot be added to {type(model).__name__}: {error}') from error
    for layer in adapted_layers(model):
        layer._register_state_dict_hook(hide_base)
        layer._register_load_state_dict_pre_hook(show_base)
    return model


MODELS.register_module(module=LoRA)


def adapted_layers(model: nn.Module) -> list[Any]:
    """The layers of a model that have adapters, peft's."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]


def hide_base(_: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str,
              *__: object) -> None:
    """Give the parameters of a saved layer the names that they have without adapters."""
    for key in [key for key in state_dict if key.startswith(prefix + BASE)]:
        state_dict[prefix + key.removeprefix(prefix + BASE)] = state_dict.pop(key)


def show_base(state_dict: MutableMapping[str, Tensor], prefix: str, *_: object) -> None:
    """Give the parameters that a layer is about to load the names that they have in it."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = key.removeprefix(prefix)
        if not name.startswith(('lora_', BASE)):
            state_dict[prefix + BASE + name] = state_dict.pop(key)


def merge_lora(weights: dict[str, Tensor], backbone: Config | None) -> dict[str, Tensor]:
    """A model's weights with those of its adapters added to them, and without adapters.

    Args:
        weights: State dict of a model, with its ``backbone.``.
        backbone: Config of the backbone, with ``type='vit_plugin.LoRA'``.

    Raises:
        UserError: the weights have no adapters, or other ones than the backbone.
    """
    prefix = 'backbone.'
    model = MODELS.build(backbone) if backbone else nn.Identity()
    if not any('.lora_' in key for key in weights) or not adapted_layers(model):
        raise UserError("there are no adapters to merge: the checkpoint must have weights with "
                        "'lora_' in their names, and its config model.backbone.type="
                        "'vit_plugin.LoRA'")
    adapted = {key.removeprefix(prefix): value for key, value in weights.items()
               if key.startswith(prefix)}
    try:
        model.load_state_dict(adapted)
    except RuntimeError as error:  # keys are missing, or unexpected
        reason = ' '.join(str(error).split())[:300]
        raise UserError("the checkpoint is not of the config's backbone and adapters: "
                        f'{reason}') from error
    for layer in adapted_layers(model):
        layer.merge()
    own = {key: value for key, value in model.state_dict().items() if '.lora_' not in key}
    others = {key: value for key, value in weights.items() if not key.startswith(prefix)}
    return {**others, **{prefix + key: value for key, value in own.items()}}
