"""Swin V2: equal to mmpretrain's class, and to everybody's attention, on the same weights."""
import math
from typing import Any

import mmpretrain.models
import pytest
import torch
from stock_models import assert_same, randomise
from timm.models.swin_transformer_v2 import WindowAttention as TimmAttention
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttentionV2

from vit_plugin.backbones import SwinTransformerV2
from vit_plugin.layers import CosineWindowAttention, ShiftedWindowAttention
from vit_plugin.layers.cosine_attention import relative_offsets
from vit_plugin.registry import MODELS

ARCH = dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))
PLAIN = dict(ARCH, extra_norm_every_n_blocks=0)
EXTRA = dict(ARCH, extra_norm_every_n_blocks=2)


def image(*size: int) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


def loss(outputs: tuple[Tensor, ...]) -> Tensor:
    return sum((x.float() * torch.linspace(-1, 1, x.numel()).view_as(x)).mean() for x in outputs)


@pytest.mark.parametrize(('size', 'arguments'), [
    ((256, 256), dict(arch=PLAIN)),
    ((256, 256), dict(arch=EXTRA, window_size=[16, 16, 16, 8])),
    ((230, 251), dict(arch=EXTRA, window_size=[8, 8, 8, 4], pad_small_map=True, img_size=(230, 251),
                      use_abs_pos_embed=True)),
    ((128, 192), dict(arch=PLAIN, window_size=[8, 8, 8, 4], pretrained_window_sizes=[6, 6, 6, 3])),
], ids=['w8', 'w16', 'padded', 'pretrained w6'])
def test_equals_mmpretrain(size: tuple[int, int], arguments: dict[str, Any]) -> None:
    arguments = dict(arguments, out_indices=(0, 1, 2, 3), drop_path_rate=0.)
    stock = mmpretrain.models.SwinTransformerV2(**arguments)
    ours = MODELS.build(dict(type='vit_plugin.SwinTransformerV2', **arguments))
    assert_same(stock, ours, arguments, size)  # without gradients, as in inference
    found = [model(image(*size)) for model in (stock, ours)]
    for outputs in found:
        loss(outputs).backward()
    for a, b in zip(*found):
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()
    gradients = dict(ours.named_parameters())
    for name, parameter in stock.named_parameters():
        a, b = parameter.grad, gradients[name].grad
        assert (a - b).abs().max() <= 1e-4 * a.abs().max(), name


def attentions(window: tuple[int, int], **arguments: Any) -> tuple[CosineWindowAttention, Tensor]:
    """Ours with random weights, and a map of one window."""
    ours = CosineWindowAttention(16, 2, window, **arguments)
    randomise(ours)
    return ours, torch.randn(3, *window, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('pretrained', [(0, 0), (6, 6)])
def test_attention_equals_timms(pretrained: tuple[int, int]) -> None:
    ours, x = attentions((8, 8), pretrained_window=pretrained)
    stock = TimmAttention(16, (8, 8), 2, pretrained_window_size=pretrained)
    stock.load_state_dict({name: value for name, value in ours.state_dict().items()
                           if not name.startswith('relative_')})
    torch.testing.assert_close(ours(x).flatten(1, 2), stock(x.flatten(1, 2)), rtol=1e-5, atol=1e-5)


def test_attention_equals_torchvisions() -> None:
    ours, _ = attentions((4, 4))
    stock = ShiftedWindowAttentionV2(16, [4, 4], [2, 2], 2)
    weights = ours.state_dict()
    weights['qkv.bias'] = torch.cat((weights.pop('q_bias'), torch.ones(16), weights.pop('v_bias')))
    weights['relative_position_index'] = weights['relative_position_index'].flatten()
    stock.load_state_dict(weights)
    x = torch.randn(2, 10, 9, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ShiftedWindowAttention(ours, (2, 2))(x), stock(x), rtol=1e-5,
                               atol=1e-5)


def test_attention_equals_hugging_faces() -> None:
    transformers = pytest.importorskip('transformers')
    from transformers.models.swinv2.modeling_swinv2 import Swinv2Attention
    config = transformers.Swinv2Config(qkv_bias=True)
    ours, x = attentions((8, 8))
    stock = Swinv2Attention(config, 16, 2, 8)
    names = {'proj.': 'output.dense.', 'logit_scale': 'self.logit_scale',
             'cpb_mlp.': 'self.continuous_position_bias_mlp.'}
    weights = ours.state_dict()
    q, k, v = weights.pop('qkv.weight').chunk(3)
    theirs = {'self.query.weight': q, 'self.key.weight': k, 'self.value.weight': v,
              'self.query.bias': weights.pop('q_bias'), 'self.value.bias': weights.pop('v_bias')}
    for name, value in weights.items():
        for start, other in names.items():
            if name.startswith(start):
                theirs[name.replace(start, other)] = value
    missing, unexpected = stock.load_state_dict(theirs, strict=False)
    assert not unexpected
    assert all('relative' in name for name in missing)
    torch.testing.assert_close(ours(x).flatten(1, 2), stock(x.flatten(1, 2))[0], rtol=1e-5,
                               atol=1e-5)


def test_offsets_of_a_window_of_1_are_finite() -> None:
    """Stock divides by 0."""
    assert relative_offsets((1, 1), (0, 0)).eq(0).all()
    assert relative_offsets((8, 2), (0, 0)).abs().max() == pytest.approx(math.log2(9) / 3)


CHANGES = {
    'load': lambda weight: weight.copy_(2 * weight),
    'data': lambda weight: weight.data.mul_(2),  # mmengine's moving averages; no counter sees it
    'other data': lambda weight: setattr(weight, 'data', 2 * weight.data),
}


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode])
def test_kept_bias_follows_the_weights(change: str, mode: Any) -> None:
    ours, x = attentions((4, 4))
    with mode():
        before = ours(x)
        assert ours.bias() is ours.bias()  # computed once
    with torch.no_grad():
        CHANGES[change](ours.cpb_mlp[2].weight)
    expected = ours(x)
    with mode():
        torch.testing.assert_close(ours(x), expected)
        assert not torch.allclose(before, expected, rtol=1e-3)


def test_drop_path_acts_after_the_norm() -> None:
    """A dropped sample is what came in; in mmpretrain's class it gets the bias of the norm."""
    model = SwinTransformerV2(ARCH, drop_path_rate=0.9, out_indices=0).train()
    randomise(model)
    block = model.stages[0].blocks[1]
    block.drop_path.drop_prob = 1 - 1e-6
    x = torch.randn(2, 8, 8, 16)
    assert torch.equal(block(x), x)


def test_starts_as_the_identity() -> None:
    """As the official code and timm: both norms of each block start at 0."""
    model = SwinTransformerV2(EXTRA)
    norms = {name: value for name, value in model.named_parameters() if 'blocks' in name
             and 'norm' in name and name.endswith('weight')}
    assert {name for name, value in norms.items() if not value.any()} \
        == {name for name in norms if 'norm3' not in name}
    assert all(block.attn.w_msa.logit_scale.exp().sub(10).abs().max() < 1e-4
               for stage in model.stages for block in stage.blocks)


def test_layer_depth_of_merging() -> None:
    model = SwinTransformerV2(ARCH)
    assert model.get_layer_depth('patch_embed.projection.weight') == (0, 10)
    assert model.get_layer_depth('stages.1.downsample.norm.weight') == (2, 10)
    assert model.get_layer_depth('backbone.stages.1.blocks.0.norm1.weight', 'backbone.') == (3, 10)
    assert model.get_layer_depth('norm3.weight') == (9, 10)


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(window_size=(8, 8)), r'window_size=\(8, 8\) .*each of the 4 stages'),
    (dict(pretrained_window_sizes=(8, 8)), r'pretrained_window_sizes=\(8, 8\) .*4 stages'),
    (dict(pretrained_window_sizes=-1), 'pretrained_window_sizes=-1 must be'),
    (dict(arch=dict(ARCH, extra_norm_every_n_blocks=-1)), 'extra_norm_every_n_blocks=-1'),
    (dict(variant=dict(qk_scale=0.1)), r'qk_scale=0\.1'),
], ids=str)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SwinTransformerV2(**dict(dict(arch=ARCH), **arguments))


HALF = [torch.float16, torch.bfloat16]


def padded(model: nn.Module) -> tuple[Tensor, ...]:
    """Maps of 18x14 patches, which windows of 8 pad."""
    return model(image(72, 56))


@pytest.mark.parametrize('dtype', HALF, ids=str)
def test_padding_in_mixed_precision(dtype: torch.dtype) -> None:
    """Keys of padding are 0: outputs and gradients are finite, scaled by 2^16, too."""
    model = SwinTransformerV2(ARCH, drop_path_rate=0., pad_small_map=True).train()
    randomise(model)
    with torch.autocast('cpu', dtype):
        outputs = padded(model)
    assert all(x.isfinite().all() for x in outputs)
    (2**16 * loss(outputs)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    half = model.to(dtype).eval()
    with torch.no_grad():
        assert all(x.isfinite().all() for x in half(image(72, 56).to(dtype)))


def test_padding_in_mixed_precision_of_mmpretrain() -> None:
    """mmpretrain's class, for comparison: this is why it fails in detection (mmpretrain#1862)."""
    model = mmpretrain.models.SwinTransformerV2(
        PLAIN, out_indices=(0, 1, 2, 3), drop_path_rate=0., pad_small_map=True)
    randomise(model)
    with torch.autocast('cpu', torch.float16):
        loss(padded(model)).backward()
    assert any(parameter.grad.isnan().any() for parameter in model.parameters())
    attention = model.stages[0].blocks[0].attn.w_msa.half()
    with torch.no_grad():
        assert attention(torch.zeros(1, 64, 16).half()).isnan().any()
