"""Every backbone in the plugin's registry, at a tiny size, with every output it offers.

A backbone that is added to the registry is under contract without a word here: its arguments are
found in its signature. Only one whose `arch` dict has keys of its own needs a line in `ARCHS`,
and is tested at its named size 'tiny' without.
"""
from dataclasses import dataclass
from inspect import signature, unwrap
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from vit_plugin.backbones import DINOv3  # and registers all
from vit_plugin.backbones.base import Backbone
from vit_plugin.registry import MODELS

ARCHS = (
    dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32),
    dict(embed_dims=8, depths=(2, 1, 1, 2), num_heads=(1, 2, 4, 8)),
    'tiny',
)
# What changes outputs or parameters; tried in all combinations where a backbone has the argument.
OPTIONS = dict(out_type=('cls_token', 'featmap'), pad_small_map=(False, True),
               use_abs_pos_embed=(False, True))
# Of the DeiTs, beside these: blocks with windows, and one without.
WINDOWED = dict(out_type='featmap', window_size=3, global_attn_indexes=(1,))
# Of DINOv3, for its larger sizes and DINOv2's.
GATED = dict(out_type='featmap', variant=dict(ffn_type='swiglu'))
IMG_SIZE = 64


@dataclass(frozen=True)
class Case:
    """A registered backbone, the arguments that make it small, and how many outputs it offers."""

    cls: type[Backbone]
    arguments: dict[str, Any]
    depth: int

    def __str__(self) -> str:
        return '-'.join([self.cls.__name__, *(f'{k}={v}' for k, v in self.arguments.items()
                                              if k in OPTIONS or k in WINDOWED or k in GATED)])

    def build(self, **arguments: Any) -> Backbone:
        """Build it with random weights, norms, biases and LayerScale included."""
        model = self.cls(**{'img_size': IMG_SIZE, 'drop_path_rate': 0., **self.arguments,
                            **arguments})
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, value in model.named_parameters():
                offset = 1. if value.ndim == 1 and name.endswith('weight') else 0.
                value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))
        return model


def tiny_arch(cls: type[Backbone]) -> Any:
    """The first of `ARCHS` whose keys fit, or the error of the last."""
    for arch in ARCHS[:-1]:
        try:
            cls(arch)
            return arch
        except ValueError:
            continue
    cls(ARCHS[-1])
    return ARCHS[-1]


def arguments_of(cls: type[Backbone]) -> set[str]:
    """Names of the arguments of a class, and of those that its ``**options`` go to."""
    return {name for base in cls.__mro__ if issubclass(base, Backbone)
            for name in signature(base).parameters}


def find_depth(cls: type[Backbone], arch: Any) -> int:
    """The first of ``out_indices`` that is refused."""
    for depth in range(1, 100):
        try:
            cls(arch, out_indices=depth)
        except ValueError:
            return depth
    raise RuntimeError(f'{cls.__name__} takes any out_indices')


def find_cases() -> list[Case]:
    cases = []
    for cls in map(unwrap, MODELS.module_dict.values()):  # the functions that build them
        if isinstance(cls, type) and issubclass(cls, Backbone):
            arch = tiny_arch(cls)
            depth = find_depth(cls, arch)
            options = {k: v for k, v in OPTIONS.items() if k in arguments_of(cls)}
            if 'global_attn_indexes' in arguments_of(cls):
                cases.append(Case(cls, dict(arch=arch, **WINDOWED), depth))
            if cls is DINOv3:
                cases.append(Case(cls, dict(arch=arch, **GATED), depth))
            cases += [Case(cls, dict(arch=arch, **dict(zip(options, values))), depth)
                      for values in product(*options.values())]
    return cases


CASES = find_cases()
# One for each class, for checks that are slow and depend little on the options.
CLASSES = list({case.cls: case for case in CASES}.values())


def image(batch: int, height: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def flatten(outputs: tuple) -> list[Tensor]:
    """All tensors of a backbone's outputs."""
    return [x for output in outputs for x in (output if isinstance(output, tuple) else [output])]


def loss(outputs: tuple) -> Tensor:
    """The batch's mean of a sum that weights every value differently."""
    return sum((x * torch.linspace(-1, 1, x[0].numel()).view_as(x[0])).flatten(1).sum(1).mean()
               for x in flatten(outputs))


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def assert_close(actual: dict[str, Tensor] | list[Tensor], expected: Any, tolerance: float) -> None:
    """Compare relative to each tensor's largest value."""
    if isinstance(actual, list):
        actual, expected = dict(enumerate(actual)), dict(enumerate(expected))
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        if value.numel():
            difference = (actual[name] - value).abs().max()
            assert difference <= tolerance * value.abs().max(), name
