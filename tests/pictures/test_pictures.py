"""What the pictures of models show, against other ways to compute it."""
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from tests.cli.test_train_and_test import classification, detection
from tests.conftest import SIZE
from vit_plugin.backbones import DeiT, DINOv3, DistilledDeiT, SwinTransformer
from vit_plugin.layers import (
    CosineWindowAttention,
    FeedForward,
    ShiftedWindowAttention,
    SwinBlock,
    SwinBlockV2,
    WindowAttention,
)
from vit_plugin.ops import pad_to_windows, window_partition, window_reverse
from vit_plugin.pictures import attention, gradcam, positions, pyramid, windows
from vit_plugin.pictures.subject import PictureError, Subject, View, load_subject, record

DEIT = dict(arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16),
            img_size=(32, 48), patch_size=16)
SWIN = dict(arch=dict(embed_dims=8, depths=(2, 2), num_heads=(2, 4)), out_indices=(0, 1))
pytestmark = pytest.mark.usefixtures('no_window')


def sharpened(model: nn.Module) -> Any:
    """With weights so large that attention is far from even."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def swin_block(window: tuple[int, int], shift: tuple[int, int]) -> SwinBlock:
    attn = ShiftedWindowAttention(WindowAttention(8, 2, window), shift)
    return SwinBlock(8, attn, FeedForward(8, 32))


def subject_of(text: str, folder: Path) -> Subject:
    path = folder / 'pictured.py'
    path.write_text(text)
    return load_subject(Config.fromfile(path), 'pictured', None)


def test_attention_weights_rebuild_the_output_of_the_layer() -> None:
    backbone = sharpened(DistilledDeiT(**DEIT, layer_scale_init_value=0.5))
    images = torch.randn(1, 3, 32, 48)
    seen: list[tuple] = []
    layer = backbone.layers[1].attn
    layer.register_forward_hook(lambda _, args, output: seen.append((args[0], output)))
    weights = attention.attention_weights(backbone, images)
    assert [w.shape for w in weights] == [(2, 8, 8)] * 2
    x, output = seen[0]
    values = layer.qkv(x).chunk(3, dim=-1)[2].unflatten(-1, (2, 8))
    mixed = torch.einsum('hij,bjhc->bihc', weights[1], values).flatten(2)
    torch.testing.assert_close(layer.gamma1(layer.proj(mixed)), output)
    assert weights[1].max() > 0.5
    assert not layer._forward_pre_hooks


@torch.no_grad()
def test_attention_weights_of_rotary_positions_rebuild_the_output() -> None:
    backbone = sharpened(DINOv3(**DEIT))
    nn.init.ones_(backbone.layers[1].attn.gamma1.weight)
    images = torch.rand(1, 3, 32, 48)
    weights = attention.attention_weights(backbone, images)
    assert weights[1].shape == (2, 11, 11)
    layer = backbone.layers[1].attn
    (x, output), = record([layer], backbone, images).values()
    values = layer.qkv(x).chunk(3, dim=-1)[2].unflatten(-1, (2, 8))
    mixed = torch.einsum('hij,bjhc->bihc', weights[1], values).flatten(2)
    torch.testing.assert_close(layer.gamma1(layer.proj(mixed)), output)
    assert list(attention.token_maps(backbone, images)) == ['class token:\nrollout',
                                                            'class token:\nlast block']


def test_positions_that_are_not_learnt_are_refused() -> None:
    with pytest.raises(PictureError, match='rotary positions are not'):
        positions.draw(SimpleNamespace(backbone=DINOv3(**DEIT)))


def test_rollout_follows_every_path_through_the_blocks() -> None:
    first, second = torch.rand(2, 3, 3).softmax(-1), torch.rand(2, 3, 3).softmax(-1)
    paths = torch.zeros(3, 3)
    for i in range(3):
        for via in range(3):
            for j in range(3):
                step = [w.mean(0) / 2 for w in (first, second)]
                paths[i, j] += ((step[1][i, via] + 0.5 * (i == via))
                                * (step[0][via, j] + 0.5 * (via == j)))
    torch.testing.assert_close(attention.rollout([first, second]), paths)


def test_token_maps_point_at_the_patch_that_is_attended_to() -> None:
    backbone = DistilledDeiT(**DEIT).eval()
    nn.init.zeros_(backbone.pos_embed)
    image = torch.zeros(1, 3, 32, 48)
    image[..., 16:, 32:] = 1.  # the patch in the second row and third column
    for block in backbone.layers:  # every token attends to that patch's features
        features = backbone.patch_embed(image)[0, 1, 2]
        block.ln1, block.ffn = nn.Identity(), nn.Sequential()
        block.attn.qkv.weight.data[:32] = 0
        block.attn.qkv.bias.data[:16] = 1.
        block.attn.qkv.weight.data[16:32] = features[None] / features.norm()**2 * 100
    maps = attention.token_maps(backbone, image)
    assert len(maps) == 4
    for heat in maps.values():
        assert heat.shape == (2, 3)
        assert heat.mean() == pytest.approx(1.)
        assert heat.argmax() == 5


@pytest.mark.parametrize('shift', [(0, 0), (2, 1)])
@pytest.mark.parametrize('is_v2', [False, True])
def test_window_weights_rebuild_the_output_of_the_layer(shift: tuple[int, int], is_v2: bool
                                                        ) -> None:
    window = (4, 3)
    block = sharpened(swin_block(window, shift))
    if is_v2:
        attention = ShiftedWindowAttention(CosineWindowAttention(8, 2, window), shift)
        block = sharpened(SwinBlockV2(8, attention, block.ffn))
        block.norm1 = nn.Identity()
    x = torch.randn(1, 7, 8, 8)  # neither is a multiple of the window
    expected = block.attn(block.norm1(x))

    weights = windows.window_weights(block, x, shift)
    normed = pad_to_windows(block.norm1(x), window).roll((-shift[0], -shift[1]), (1, 2))
    inner = block.attn.w_msa
    values = inner.project(window_partition(normed, window)).chunk(3, dim=-1)[2]
    values = values.unflatten(-1, (2, 4))
    mixed = inner.proj(torch.einsum('bwhij,bwjhc->bwihc', weights, values).flatten(3))
    found = window_reverse(mixed, window, (8, 9)).roll(shift, (1, 2))[:, :7, :8]
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_attention_received_adds_up_to_the_tokens_that_look() -> None:
    block = sharpened(swin_block((4, 4), (0, 0)))
    x = torch.randn(1, 8, 8, 8)
    for shift in ((0, 0), (2, 2)):
        heat = windows.received(block, x, shift)
        assert heat.shape == (8, 8)
        assert heat.sum() == pytest.approx(64, rel=1e-5)
        assert heat.std() > 0.1
    # a window looks at nothing but itself
    assert windows.received(block, x, (0, 0))[:4, 4:].sum() == pytest.approx(16, rel=1e-5)
    assert windows.received(block, x, (1, 3))[1:5, 3:7].sum() == pytest.approx(16, rel=1e-5)
    for parameter in block.attn.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(windows.received(block, x, (2, 2)), torch.ones(8, 8))
    # 3 of the last window's 4 rows are padding: each token there gets a quarter of what 4 give
    torch.testing.assert_close(windows.received(block, x[:, :5], (0, 0))[4], torch.full((8,), .25))


@pytest.mark.parametrize('shifted', [False, True])
def test_window_borders_are_where_nothing_gets_through(shifted: bool) -> None:
    backbone = sharpened(SwinTransformer(**SWIN, window_size=5))
    image = torch.randn(1, 3, 48, 40)  # maps of 12x10 and 6x5
    block = windows.stage_attention(backbone, image)[0][int(shifted)]
    assert any(block.shift) == shifted
    rows, columns = block.borders()

    layer = backbone.stages[0].blocks[int(shifted)].attn
    x = torch.randn(1, 12, 10, 8, requires_grad=True)
    output = layer(x)[0]

    def hears(listener: tuple[int, int], speaker: tuple[int, int]) -> bool:
        gradient, = torch.autograd.grad(output[listener].sum(), x, retain_graph=True)
        return bool(gradient[0][speaker].abs().max() > 0)

    assert rows == [at for at in range(1, 12) if not hears((at, 0), (at - 1, 0))]
    assert columns == [at for at in range(1, 10) if not hears((0, at), (0, at - 1))]


def test_gradcam_is_activations_weighted_by_mean_gradients(image_folder: Path,
                                                           tmp_path: Path) -> None:
    pytest.importorskip('pytorch_grad_cam')
    for name in ('DistilledDeiT', 'SwinTransformer'):
        subject = subject_of(classification(name, image_folder), tmp_path)
        sharpened(subject.model)
        view = subject.view(image_folder / 'light/0.png')
        layer, _ = gradcam.target_layer(subject.backbone, view.inputs)
        kept: list[torch.Tensor] = []
        handle = layer.register_forward_hook(lambda _, __, x, kept=kept: kept.append(x))
        scores = subject.model(view.inputs)[0]
        handle.remove()
        found = gradcam.class_maps(subject, view)
        assert [label for label, _, _ in found] == scores.argsort(descending=True).tolist()
        for label, probability, heat in found:
            assert probability == pytest.approx(scores.softmax(0)[label].item(), rel=1e-4)
            gradient, = torch.autograd.grad(scores[label], kept[0], retain_graph=True)
            # without the two tokens, as (tokens of the map, C)
            gradient, features = (x[0, 2:] if x.ndim == 3 else x[0].flatten(0, 1)
                                  for x in (gradient, kept[0]))
            expected = (features @ gradient.mean(0)).relu().detach().numpy()
            side = round(len(expected)**0.5)
            expected = expected.reshape(side, side)
            assert min(expected.shape) >= 4
            expected = cv2.resize(expected - expected.min(), (SIZE, SIZE))
            np.testing.assert_allclose(heat, expected / max(expected.max(), 1e-7), atol=1e-3)


def test_pyramid_shows_the_maps_of_backbone_and_neck(coco: Path, tmp_path: Path) -> None:
    subject = subject_of(detection('SwinTransformer', coco), tmp_path)
    view = subject.view(coco / 'images/0.png')
    own, after = pyramid.feature_maps(subject, view)
    expected = subject.backbone(view.inputs)
    for i, (found, output) in enumerate(zip(own, expected)):
        norm = getattr(subject.backbone, f'norm{i}')
        torch.testing.assert_close(norm(found.permute(1, 2, 0)).permute(2, 0, 1), output[0])
    for found, output in zip(after, subject.model.extract_feat(view.inputs)):
        torch.testing.assert_close(found, output[0])
    assert len(own) == 4
    assert len(after) == 5
    figure = pyramid.draw(subject, [view])
    titles = [axis.get_title() for axis in figure.axes]
    assert '8 × 16×16, stride 4' in titles
    assert '256 × 1×1, stride 64' in titles

    deit = subject_of(classification('DeiT', tmp_path), tmp_path)
    maps, none = pyramid.feature_maps(deit, View('', {}, torch.randn(1, 3, 64, 32), np.zeros(0)))
    assert [x.shape for x in maps] == [(64, 4, 2)]
    assert none == []


def test_similar_features_get_similar_colours() -> None:
    features = torch.randn(6, 4, 4) * 0.01
    features[:, :2] += torch.randn(6, 1, 1)  # the upper half differs from the lower one
    colours = pyramid.to_colours(features)
    assert colours.min() == 0
    assert colours.max() == 1
    assert abs(colours[:2, :, 0].mean() - colours[2:, :, 0].mean()) > 0.9
    assert colours[:2, :, 0].std() < 0.1
    assert pyramid.to_colours(torch.ones(6, 1, 1)).shape == (1, 1, 3)


@torch.no_grad()
def test_positions_are_compared_by_their_angle() -> None:
    backbone = sharpened(DeiT(**DEIT))
    similarity = positions.position_similarity(backbone)
    assert similarity.shape == (2, 3, 2, 3)
    first, last = backbone.pos_embed[0, 1], backbone.pos_embed[0, 6]
    assert similarity[0, 0, 1, 2] == pytest.approx(
        float(first @ last / first.norm() / last.norm()), abs=1e-6)
    torch.testing.assert_close(similarity[1, 1, 1, 1], torch.tensor(1.))


@torch.no_grad()
def test_bias_maps_show_the_place_that_is_looked_at() -> None:
    backbone = sharpened(SwinTransformer(**SWIN, window_size=(3, 5)))
    maps = positions.bias_maps(backbone)
    assert [x.shape for x in maps] == [(2, 5, 9), (4, 5, 9)]
    bias = backbone.stages[1].blocks[1].attn.w_msa.bias()  # (heads, tokens that look, looked at)
    middle, corner = bias[:, 7].reshape(4, 3, 5), bias[:, 0].reshape(4, 3, 5)
    torch.testing.assert_close(maps[1][:, 1:4, 2:7], middle)
    torch.testing.assert_close(maps[1][:, 2:, 4:], corner)
