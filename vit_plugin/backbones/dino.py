"""DINOv2 and DINOv3, the `DeiT` with the sizes and settings of facebookresearch's models."""
from collections.abc import Sequence
from typing import Any

from vit_plugin.registry import MODELS

from .archs import DINOV2, DINOV3, SWIGLU
from .arguments import Arch, Config
from .deit import DeiT


@MODELS.register_module()
class DINOv2(DeiT):
    """`DeiT` as in Oquab et al., "DINOv2", https://arxiv.org/abs/2304.07193.

    Positions are interpolated as the published models were trained to have them
    (facebookresearch/dinov2, hub/backbones.py): smoothed where there are registers, else with sizes
    increased by 0.1. ``img_size`` is that of the published position embedding.

    Args:
        arch: ``'small'``, ``'base'``, ``'large'``, ``'giant'`` or a dict, as in `DeiT`.
        img_size: As in `DeiT`.
        patch_size: As in `DeiT`.
        layer_scale_init_value: As in `DeiT`.
        num_register_tokens: 4 or 0 in the published models: "Vision Transformers Need Registers",
            https://arxiv.org/abs/2309.16588.
        variant: As in `DeiT`; it wins over the settings above. For a dict ``arch``,
            ``ffn_type='swiglu'`` is what ``'giant'`` has.
        options: Other arguments of `DeiT`.

    Raises:
        UserError: an argument is not as above.
    """

    archs = DINOV2

    def __init__(self, arch: Arch = 'small', img_size: int | Sequence[int] = 518,
                 patch_size: int | Sequence[int] = 14, layer_scale_init_value: float = 1e-5,
                 num_register_tokens: int = 4, variant: Config | None = None,
                 **options: Any) -> None:
        settings: Config = dict(
            num_register_tokens=num_register_tokens, ffn_type=ffn_type_of(arch),
            interpolate_antialias=num_register_tokens > 0)
        if num_register_tokens == 0:
            settings['interpolate_offset'] = 0.1
        super().__init__(arch, img_size, patch_size, variant={**settings, **(variant or {})},
                         layer_scale_init_value=layer_scale_init_value, **options)


@MODELS.register_module()
class DINOv3(DeiT):
    """`DeiT` as in Siméoni et al., "DINOv3", https://arxiv.org/abs/2508.10104.

    Four register tokens, rotary positions, no bias of the keys (facebookresearch/dinov3,
    hub/backbones.py). The random scales of its pre-training's coordinates are left out.

    Args:
        arch: ``'small'``, ``'small-plus'``, ``'base'``, ``'large'``, ``'huge-plus'`` or a dict, as
            in `DeiT`.
        layer_scale_init_value: As in `DeiT`.
        variant: As in `DeiT`; it wins over the settings above. For a dict ``arch``,
            ``ffn_type='swiglu'`` is what the sizes with a plus have.
        options: Other arguments of `DeiT`.

    Raises:
        UserError: an argument is not as above.
    """

    archs = DINOV3

    def __init__(self, arch: Arch = 'small', layer_scale_init_value: float = 1e-5,
                 variant: Config | None = None, **options: Any) -> None:
        settings: Config = dict(num_register_tokens=4, ffn_type=ffn_type_of(arch),
                                position='rotary', key_bias=False, norm_eps=1e-5)
        super().__init__(arch, variant={**settings, **(variant or {})},
                         layer_scale_init_value=layer_scale_init_value, **options)


def ffn_type_of(arch: Arch) -> str:
    """``'swiglu'`` for the sizes that have it."""
    return 'swiglu' if arch in SWIGLU else 'mlp'
