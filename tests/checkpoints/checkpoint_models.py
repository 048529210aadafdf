"""Tiny models of every source, with random weights, and what they compute at every stage."""
import timm
import torch
import transformers
from torch import Tensor, nn

from vit_plugin.backbones import DeiT, DistilledDeiT, SwinTransformer

SWIN = dict(embed_dims=8, depths=(2, 1, 2), num_heads=(1, 2, 4))
VIT = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=64)
CLASSES = 5
SIZE = 64  # stages of 16, 8, 4 patches, whole windows of 4


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random values for all parameters, norms and biases included, so that order matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            offset = 1. if value.ndim == 1 and name.endswith('weight') else 0.
            value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))
    model.eval()  # which returns nothing in mmpretrain, mmdet and mmseg
    return model


def image(size: int | tuple[int, int] = SIZE, channels: int = 3) -> Tensor:
    size = (size, size) if isinstance(size, int) else size
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))


def swin(**kwargs) -> SwinTransformer:
    return randomise(SwinTransformer(**{**dict(arch=SWIN, window_size=4, img_size=SIZE,
                                               out_indices=(0, 1, 2)), **kwargs}), seed=9)


def deit(**kwargs) -> DeiT:
    return randomise(DeiT(**{**dict(arch=VIT, img_size=SIZE), **kwargs}), seed=9)


def distilled(**kwargs) -> DistilledDeiT:
    return randomise(DistilledDeiT(**{**dict(arch=VIT, img_size=SIZE), **kwargs}), seed=9)


def timm_swin(**kwargs) -> nn.Module:
    return randomise(timm.create_model(
        'swin_tiny_patch4_window7_224', img_size=SIZE, window_size=4, embed_dim=8,
        depths=(2, 1, 2), num_heads=(1, 2, 4), num_classes=CLASSES, **kwargs))


def timm_vit(name: str = 'deit_tiny_patch16_224', **kwargs) -> nn.Module:
    return randomise(timm.create_model(name, img_size=SIZE, embed_dim=16, depth=3, num_heads=2,
                                       num_classes=CLASSES, **kwargs))


def hf_swin(cls: str) -> nn.Module:
    config = transformers.SwinConfig(
        image_size=SIZE, embed_dim=8, depths=[2, 1, 2], num_heads=[1, 2, 4], window_size=4,
        num_labels=CLASSES, out_features=['stage1', 'stage2', 'stage3'])
    return randomise(getattr(transformers, cls)(config))


def hf_vit(cls: str) -> nn.Module:
    config_class = transformers.ViTConfig if cls.startswith('ViT') else transformers.DeiTConfig
    return randomise(getattr(transformers, cls)(config_class(
        image_size=SIZE, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=64, num_labels=CLASSES)))


def old_swin_names(model: nn.Module, masks: bool = True) -> dict[str, Tensor]:
    """timm's weights under the names of microsoft/Swin-Transformer and timm before 0.9.

    There, the patch merging ends a stage, the classifier is ``head``, and the index of the bias
    table and the mask of the shifted blocks are in the state dict.
    """
    renamed = {}
    for key, value in model.state_dict().items():
        parts = key.split('.')
        if parts[0] == 'layers' and parts[2] == 'downsample':
            parts[1] = str(int(parts[1]) - 1)
        if parts[:2] == ['head', 'fc']:
            del parts[1]
        renamed['.'.join(parts)] = value
    if masks:
        for name, module in model.named_modules():
            if hasattr(module, 'relative_position_index'):
                renamed[f'{name}.relative_position_index'] = module.relative_position_index
        renamed['layers.0.blocks.1.attn_mask'] = torch.zeros(16, 16, 16)
    return renamed


def run(model: nn.Module, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The output of every stage of a Swin, or block of a ViT, (B, ..., C); and of the model."""
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: tuple, output: Tensor | tuple) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    hooks = [block.register_forward_hook(keep) for block in blocks_of(model)]
    with torch.no_grad():
        final = model(x)
    for hook in hooks:
        hook.remove()
    return outputs, final


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The last block of every stage, or every block of a ViT, in any of the sources."""
    for name, module in model.named_modules():
        if name.split('.')[-1] in ('layer', 'layers', 'blocks', 'stages') and len(module) == 3:
            return [stage.blocks[-1] if hasattr(stage, 'blocks') else stage for stage in module]
        if name.split('.')[-1] == 'features':  # torchvision's Swin: stem, stage, merging, ...
            return list(module)[1::2]
    raise LookupError('no blocks')


def assert_stages_equal(theirs: nn.Module, ours: nn.Module, x: Tensor | None = None) -> None:
    x = image() if x is None else x
    (expected, _), (actual, _) = run(theirs, x), run(ours, x)
    assert len(expected) == len(actual) == 3
    for a, b in zip(expected, actual):
        assert_close(b.flatten(1), a.flatten(1))


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()
