"""The backbones that ``vit-plugin benchmark`` compares: the plugin's and those of other libraries.

Each takes images (B, 3, H, W) and gives the normalised output of its last stage, (B, C, h, w) for
the Swins, or of its class token, (B, C) for DeiT: all do the same work. Libraries are imported when
they are asked for.
"""
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from vit_plugin.backbones.archs import DEIT, SWIN
from vit_plugin.toolkits import TOOLKITS, import_toolkit

LIBRARIES = (*TOOLKITS, 'timm', 'torchvision', 'transformers')
Size = tuple[int, int]  # (height, width)


class Adapter(nn.Module):
    """Gives all backbones one output: ``output`` picks it from what the model returns."""

    def __init__(self, model: nn.Module, output: Callable[[Any], Tensor], **inputs: Any) -> None:
        super().__init__()
        self.model = model
        self.output = output
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.model(x, **self.inputs))


def build(library: str, model: str, size: Size, **settings: int) -> nn.Module:
    """Build ``model``, e.g. 'swin-tiny', of a library, without stochastic depth.

    Settings are ``window``, of the Swins of the plugin, timm and torchvision.

    Raises:
        ImportError: the library is not installed.
        LookupError: it does not have this model.
    """
    family, arch = model.split('-')
    builder = BUILDERS.get((library, family))
    if builder is None:
        raise LookupError(f'{library} has no {model} to compare')
    if library in TOOLKITS:
        import_toolkit(f'{library}.models')
    return builder(arch, size, **settings)


def plugin_swin(arch: str, size: Size, window: int = 7) -> nn.Module:
    from vit_plugin.backbones import SwinTransformer
    model = SwinTransformer(arch, window_size=window, out_indices=(3,), drop_path_rate=0.)
    return Adapter(model, lambda out: out[0])


def plugin_swin_v2(arch: str, size: Size) -> nn.Module:
    from vit_plugin.backbones import SwinTransformerV2
    return Adapter(SwinTransformerV2(arch, out_indices=(3,), drop_path_rate=0.),
                   lambda out: out[0])


def plugin_deit(arch: str, size: Size) -> nn.Module:
    from vit_plugin.backbones import DeiT
    return Adapter(DeiT(arch, img_size=size), lambda out: out[0])


def mmpretrain_swin(arch: str, size: Size) -> nn.Module:
    from mmpretrain.models import SwinTransformer
    return Adapter(SwinTransformer(arch, img_size=size, drop_path_rate=0.), lambda out: out[0])


def mmpretrain_swin_v2(arch: str, size: Size) -> nn.Module:
    from mmpretrain.models import SwinTransformerV2
    return Adapter(SwinTransformerV2(arch, img_size=size, drop_path_rate=0.,
                                     pad_small_map=min(size) < 8 * 32), lambda out: out[0])


def mmpretrain_deit(arch: str, size: Size) -> nn.Module:
    from mmpretrain.models import VisionTransformer
    return Adapter(VisionTransformer(f'deit-{arch}', img_size=size, patch_size=16),
                   lambda out: out[0])


def dense_swin(arch: str, size: Size, library: str) -> nn.Module:
    swin = import_module(f'{library}.models').SwinTransformer
    return Adapter(swin(**SWIN[arch], out_indices=(3,), drop_path_rate=0.), lambda out: out[0])


def timm_swin(arch: str, size: Size, window: int = 7) -> nn.Module:
    import timm
    model = timm.create_model(f'swin_{arch}_patch4_window7_224', num_classes=0, global_pool='',
                              drop_path_rate=0., img_size=size, window_size=window)
    return Adapter(model, to_channels_first)


def timm_swin_v2(arch: str, size: Size) -> nn.Module:
    from timm.models.swin_transformer_v2 import SwinTransformerV2
    dims, depths, heads = SWIN[arch].values()
    model = SwinTransformerV2(size, embed_dim=dims, depths=depths, num_heads=heads, window_size=8,
                              num_classes=0, global_pool='', drop_path_rate=0.)
    return Adapter(model, to_channels_first)


def timm_deit(arch: str, size: Size) -> nn.Module:
    import timm
    return Adapter(timm.create_model(f'deit_{arch}_patch16_224', img_size=size, num_classes=0),
                   lambda out: out)


def torchvision_swin(arch: str, size: Size, window: int = 7) -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer
    dims, depths, heads = SWIN[arch].values()
    model = SwinTransformer([4, 4], dims, list(depths), list(heads), [window] * 2,
                            stochastic_depth_prob=0.)
    return Adapter(nn.Sequential(model.features, model.norm), to_channels_first)


def torchvision_deit(arch: str, size: Size) -> nn.Module:
    from torchvision.models import VisionTransformer
    dims, layers, heads, channels = DEIT[arch].values()
    if size[0] != size[1]:
        raise LookupError("torchvision's ViT takes square images only")
    model = VisionTransformer(size[0], 16, layers, heads, dims, channels)
    model.heads = nn.Identity()
    return Adapter(model, lambda out: out)


def transformers_swin(arch: str, size: Size) -> nn.Module:
    from transformers import SwinConfig, SwinModel
    dims, depths, heads = SWIN[arch].values()
    config = SwinConfig(embed_dim=dims, depths=list(depths), num_heads=list(heads),
                        drop_path_rate=0.)
    model = SwinModel(config, add_pooling_layer=False)
    grid = [-(-side // 32) for side in size]
    return Adapter(model, lambda out: out.last_hidden_state.transpose(1, 2).unflatten(2, grid),
                   interpolate_pos_encoding=True)


def transformers_deit(arch: str, size: Size) -> nn.Module:
    from transformers import ViTConfig, ViTModel
    dims, layers, heads, channels = DEIT[arch].values()
    config = ViTConfig(hidden_size=dims, num_hidden_layers=layers, num_attention_heads=heads,
                       intermediate_size=channels, image_size=size, hidden_dropout_prob=0.,
                       attention_probs_dropout_prob=0.)
    return Adapter(ViTModel(config, add_pooling_layer=False),
                   lambda out: out.last_hidden_state[:, 0])


def to_channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


BUILDERS: dict[tuple[str, str], Callable[..., nn.Module]] = {
    ('plugin', 'swin'): plugin_swin, ('plugin', 'deit'): plugin_deit,
    ('mmpretrain', 'swin'): mmpretrain_swin, ('mmpretrain', 'deit'): mmpretrain_deit,
    ('plugin', 'swinv2'): plugin_swin_v2, ('mmpretrain', 'swinv2'): mmpretrain_swin_v2,
    ('timm', 'swinv2'): timm_swin_v2,
    ('mmdet', 'swin'): partial(dense_swin, library='mmdet'),
    ('mmseg', 'swin'): partial(dense_swin, library='mmseg'),
    ('timm', 'swin'): timm_swin, ('timm', 'deit'): timm_deit,
    ('torchvision', 'swin'): torchvision_swin, ('torchvision', 'deit'): torchvision_deit,
    ('transformers', 'swin'): transformers_swin, ('transformers', 'deit'): transformers_deit,
}


def compare(library: str, model: Any, name: str, x: Tensor) -> None:
    """Print how far the plugin's output is from a library's with that library's weights."""
    if library == 'torchvision':  # what is timed has not the keys of its checkpoints
        return
    twin: Any = build('plugin', name, (x.shape[2], x.shape[3])).to(x.device).eval()
    twin.model.load_state_dict(model.model.state_dict())
    with torch.no_grad():
        expected, found = model(x), twin(x)
    difference = (found - expected).norm() / expected.norm()
    print(f"  with {library}'s weights the plugin's output differs by {difference:.0e}")
