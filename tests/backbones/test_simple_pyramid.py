"""SimplePyramid: against the same layers from timm and torch, in FPN's and UPerNet's places."""
from typing import Any

import pytest
import torch
from timm.layers import LayerNorm2d as TimmLayerNorm2d
from torch import Tensor, nn

from vit_plugin.backbones.simple_pyramid import LayerNorm2d, SimplePyramid
from vit_plugin.registry import MODELS


def written_out(c: int, out: int) -> nn.ModuleList:
    """The pyramid of ViTDet's text in the modules of torch and timm."""
    def projected(c: int, *before: nn.Module) -> nn.Sequential:
        return nn.Sequential(
            *before, nn.Conv2d(c, out, 1, bias=False), TimmLayerNorm2d(out, eps=1e-6),
            nn.Conv2d(out, out, 3, padding=1, bias=False), TimmLayerNorm2d(out, eps=1e-6))
    return nn.ModuleList([
        projected(c // 4, nn.ConvTranspose2d(c, c // 2, 2, 2), TimmLayerNorm2d(c // 2, eps=1e-6),
                  nn.GELU(), nn.ConvTranspose2d(c // 2, c // 4, 2, 2)),
        projected(c // 2, nn.ConvTranspose2d(c, c // 2, 2, 2)),
        projected(c),
        projected(c, nn.MaxPool2d(2))])


def test_equals_the_same_layers_of_timm_and_torch() -> None:
    neck, theirs = SimplePyramid(16, 8, num_outs=5), written_out(16, 8)
    for parameter in neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs.load_state_dict({key.removeprefix('levels.'): value
                            for key, value in neck.state_dict().items()})
    x = torch.randn(2, 16, 6, 4)
    outs = neck((x,))
    for ours, level in zip(outs, theirs):
        torch.testing.assert_close(ours, level(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outs[4], outs[3][:, :, ::2, ::2])


@pytest.mark.parametrize(('size', 'strides'), [
    ((4, 6), ((16, 24), (8, 12), (4, 6), (2, 3))),
    ((5, 1), ((20, 4), (10, 2), (5, 1), (3, 1)))])
def test_sizes_round_up(size: tuple[int, int], strides: tuple[tuple[int, int], ...]) -> None:
    outs = SimplePyramid(8, 4)(torch.randn(2, 8, *size))
    assert [tuple(out.shape) for out in outs] == [(2, 4, *stride) for stride in strides]


def test_layer_norm_is_that_of_channels_last() -> None:
    x = torch.randn(2, 6, 3, 5)
    out = LayerNorm2d(6)(x)
    torch.testing.assert_close(out.mean(1), torch.zeros(2, 3, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(1, correction=0), torch.ones(2, 3, 5), rtol=0, atol=1e-3)


def upernet(channels: int) -> nn.Module:
    import mmseg.models
    from mmseg.registry import MODELS as MMSEG
    assert mmseg.models
    return MMSEG.build(dict(type='UPerHead', in_channels=[channels] * 4, in_index=[0, 1, 2, 3],
                            channels=8, num_classes=2, norm_cfg=dict(type='BN')))


def fpn(channels: int) -> nn.Module:
    import mmdet.models
    from mmdet.registry import MODELS as MMDET
    assert mmdet.models
    return MMDET.build(dict(type='FPN', in_channels=[channels] * 4, out_channels=8, num_outs=5))


@pytest.mark.parametrize('after', [fpn, upernet])
def test_every_parameter_has_a_gradient(after: Any) -> None:
    neck = MODELS.build(dict(type='vit_plugin.SimplePyramid', in_channels=16, out_channels=8))
    outs = after(8)(neck((torch.randn(2, 16, 4, 4),)))
    outs = [outs] if isinstance(outs, Tensor) else outs
    sum((out * torch.randn_like(out)).sum() for out in outs).backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(in_channels=6), 'in_channels=6'), (dict(in_channels=8, out_channels=0), 'out_channels=0'),
    (dict(in_channels=8, num_outs=3), 'num_outs=3')])
def test_refuses_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimplePyramid(**arguments)


@pytest.mark.parametrize(('x', 'message'), [
    (torch.zeros(1, 4, 2, 2), r'\(B, 8, h, w\), got \(1, 4, 2, 2\)'),
    ((torch.zeros(1, 8, 2, 2),) * 4, 'one map, got 4'),
    ((torch.zeros(1, 8),), "out_type='featmap'"),
    (((torch.zeros(1, 8), torch.zeros(1, 8)),), 'got tuple')])
def test_refuses_wrong_input(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimplePyramid(8)(x)
