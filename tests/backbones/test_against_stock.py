"""Forward and gradients equal the toolkits' own backbones on the same weights."""
import mmdet.models
import mmpretrain.models
import mmseg.models
import pytest
import torch
from torch import Tensor, nn

from vit_plugin.backbones import DeiT, DistilledDeiT, SwinTransformer

SWIN = dict(embed_dims=24, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))
VIT = dict(embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=64)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give both the same random weights, biases and norms included; keys must be equal."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in source.named_parameters():
            offset = 1. if value.ndim == 1 and name.endswith('weight') else 0.
            value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))
    target.load_state_dict(source.state_dict(), strict=True)
    source.load_state_dict(target.state_dict(), strict=True)


def flatten(outputs: tuple) -> list[Tensor]:
    return [x for output in outputs for x in (output if isinstance(output, tuple) else [output])]


def assert_equal(stock: nn.Module, ours: nn.Module, size: tuple[int, int]) -> None:
    copy_weights(stock, ours)
    assert_same_results(stock, ours, size)


def assert_same_results(stock: nn.Module, ours: nn.Module, size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    expected, actual = (flatten(model(image)) for model in (stock, ours))
    assert len(expected) == len(actual)
    for a, b in zip(expected, actual):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()
    for outputs in (expected, actual):
        sum((x * torch.linspace(-1, 1, x.numel()).view_as(x)).sum() for x in outputs).backward()
    gradients = dict(ours.named_parameters())
    for name, parameter in stock.named_parameters():
        a, b = parameter.grad, gradients[name].grad.view(parameter.shape)
        assert (a - b).abs().max() <= 1e-4 * a.abs().max(), name


@pytest.mark.parametrize('size', [(224, 224), (230, 251)])
@pytest.mark.parametrize('toolkit', ['mmpretrain', 'mmdet', 'mmseg'])
def test_swin(toolkit: str, size: tuple[int, int]) -> None:
    if toolkit == 'mmpretrain':
        # 230x251 gives maps smaller than a window, which mmpretrain then refuses
        pad = size != (224, 224)
        stock = mmpretrain.models.SwinTransformer(
            arch=SWIN, out_indices=(0, 1, 2, 3), drop_path_rate=0., pad_small_map=pad)
    else:
        pad = True
        stock = {'mmdet': mmdet.models.SwinTransformer,
                 'mmseg': mmseg.models.backbones.SwinTransformer}[toolkit](
                     **SWIN, drop_path_rate=0.)
    ours = SwinTransformer(SWIN, drop_path_rate=0., pad_small_map=pad)
    assert_equal(stock, ours, size)


def test_swin_with_absolute_position() -> None:
    stock = mmpretrain.models.SwinTransformer(
        arch=SWIN, img_size=224, out_indices=(3,), drop_path_rate=0., use_abs_pos_embed=True)
    ours = SwinTransformer(SWIN, out_indices=3, drop_path_rate=0., use_abs_pos_embed=True)
    assert_equal(stock, ours, (256, 288))


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
@pytest.mark.parametrize('size', [(64, 64), (70, 91)])
@pytest.mark.parametrize('scale', [0., 0.1])
def test_deit(out_type: str, size: tuple[int, int], scale: float) -> None:
    arguments = dict(arch=VIT, img_size=64, out_type=out_type, layer_scale_init_value=scale)
    assert_equal(mmpretrain.models.VisionTransformer(**arguments, out_indices=[0, 2]),
                 DeiT(**arguments, out_indices=(0, 2)), size)


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
@pytest.mark.parametrize('size', [(64, 64), (70, 91)])
def test_distilled_deit(out_type: str, size: tuple[int, int]) -> None:
    arguments = dict(arch=VIT, img_size=64, out_type=out_type)
    assert_equal(mmpretrain.models.DistilledVisionTransformer(**arguments),
                 DistilledDeiT(**arguments), size)


@pytest.mark.parametrize('size', [(112, 112), (75, 130)])
def test_windowed_deit(size: tuple[int, int]) -> None:
    """SAM's encoder is a ViTDet."""
    indices = dict(out_indices=(0, 1, 2))
    stock = mmpretrain.models.ViTSAM(
        dict(VIT, num_layers=4, global_attn_indexes=(1,)), img_size=112, out_channels=0,
        use_rel_pos=False, window_size=3, **indices)
    del stock.layers[3]  # unused, as ours does not have it
    ours = DeiT(dict(VIT, num_layers=4), img_size=112, out_type='featmap', window_size=3,
                global_attn_indexes=(1,), **indices)
    weights = stock.state_dict()
    for value in weights.values():
        value.add_(0.2 * torch.randn_like(value))
    ours.load_state_dict({**weights, 'pos_embed': weights['pos_embed'].flatten(1, 2)})
    assert_same_results(stock, ours, size)
