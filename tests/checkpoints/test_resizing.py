"""Weights of another window, image size, set of tokens, number of channels or classes."""
import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from vit_plugin.backbones import DistilledDeiT, SwinTransformer
from vit_plugin.checkpoints import load_pretrained

from .checkpoint_models import (
    SWIN,
    VIT,
    assert_close,
    deit,
    distilled,
    image,
    old_swin_names,
    swin,
    timm_swin,
    timm_vit,
)

TABLE = 'stages.1.blocks.0.attn.w_msa.relative_position_bias_table'


def saved(weights: nn.Module | dict[str, Tensor], path: Path) -> str:
    torch.save(weights.state_dict() if isinstance(weights, nn.Module) else weights, path)
    return str(path)


def expected_table(table: Tensor, source: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """Head by head, offset by offset, with torch's interpolation as the only common ground."""
    heads = []
    for head in table.unbind(1):
        plane = head.view(1, 1, 2 * source[0] - 1, 2 * source[1] - 1)
        size = (2 * target[0] - 1, 2 * target[1] - 1)
        heads.append(F.interpolate(plane, size, mode='bicubic')[0, 0])
    return torch.stack([head.flatten() for head in heads], dim=1)


@pytest.mark.parametrize('index', [True, False], ids=['with index', 'without'])
@pytest.mark.parametrize(('source', 'target'), [
    ((7, 7), (12, 12)), ((12, 12), (7, 7)), ((4, 4), (3, 6)), ((3, 6), (4, 4)), ((3, 6), (6, 3))])
def test_window(source: tuple, target: tuple, index: bool, tmp_path: Path) -> None:
    theirs, ours = swin(window_size=source), swin(window_size=target)
    weights = {key: value for key, value in theirs.state_dict().items()
               if index or not key.endswith('index')}
    path = saved(weights, tmp_path / 'a.pth')
    if source == (3, 6) and not index:
        if target == (6, 3):  # as many rows, so taken for the same: all that can be known
            load_pretrained(ours, path)
        else:
            with pytest.raises(ValueError, match='55 rows is of no square window'):
                load_pretrained(ours, path)
        return
    buffer = ours.stages[0].blocks[0].attn.w_msa.relative_position_index.clone()
    load_pretrained(ours, path)
    expected = expected_table(theirs.state_dict()[TABLE], source, target)
    assert_close(ours.state_dict()[TABLE], expected, 1e-6)
    assert torch.equal(ours.stages[0].blocks[0].attn.w_msa.relative_position_index, buffer)
    assert torch.isfinite(ours(image())[2]).all()


def test_window_keeps_the_shape_of_the_bias(tmp_path: Path) -> None:
    """A bias that rises from row to row, odd about the middle, still does and is."""
    theirs, ours = timm_swin(), swin(window_size=8)
    with torch.no_grad():
        for name, table in theirs.named_parameters():
            if name.endswith('bias_table'):
                rows = torch.arange(-3, 4.)[:, None] + 0 * torch.arange(7)
                table.copy_(rows.reshape(-1, 1).expand_as(table) / 7)
    load_pretrained(ours, saved(theirs, tmp_path / 'a.pth'))
    bias = ours.state_dict()[TABLE].view(15, 15, -1)
    assert (bias[:, 1:] - bias[:, :-1]).abs().max() < 1e-6
    assert (bias[:, 0, 0].diff() > 0).all()
    assert_close(bias.flip(0), -bias)


def test_windows_of_the_same_shapes() -> None:
    """3x6 and 6x3 differ in their index alone; plain load_state_dict would swap it and go on."""
    theirs, ours = swin(window_size=(3, 6)), swin(window_size=(6, 3))
    index = ours.stages[0].blocks[0].attn.w_msa.relative_position_index.clone()
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.stages[0].blocks[0].attn.w_msa.relative_position_index, index)
    assert_close(ours.state_dict()[TABLE],
                 expected_table(theirs.state_dict()[TABLE], (3, 6), (6, 3)), 1e-6)


def test_a_foreign_order_of_the_table_is_refused(tmp_path: Path) -> None:
    weights = swin().state_dict()
    name = TABLE.replace('bias_table', 'index')
    weights[name] = weights[name].T.contiguous()
    weights['norm.weight'] = torch.ones(32)
    with pytest.raises(ValueError, match='offset by offset'):
        load_pretrained(swin(), saved(weights, tmp_path / 'a.pth'))


@pytest.mark.parametrize(('size', 'source_grid'), [(96, None), (32, None), ((48, 80), None),
                                               ((48, 80), (2, 8))])
def test_position(size: int | tuple, source_grid: tuple | None, tmp_path: Path) -> None:
    theirs = timm_vit()
    ours = deit(img_size=size)
    load_pretrained(ours, saved(theirs, tmp_path / 'a.pth'), source_grid=source_grid)
    position = theirs.pos_embed.detach()
    grid = position[:, 1:].reshape(1, *(source_grid or (4, 4)), 16).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, ours.grid, mode='bicubic').flatten(2).transpose(1, 2)
    assert torch.equal(ours.pos_embed[:, :1], position[:, :1])
    assert_close(ours.pos_embed[:, 1:], grid, 1e-6)


def test_position_of_a_non_square_grid(tmp_path: Path) -> None:
    theirs = deit(img_size=(48, 80))
    path = saved(theirs, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='15 patches is of no square grid: give its source_grid'):
        load_pretrained(deit(), path)
    with pytest.raises(ValueError, match=r'source_grid=\(4, 4\) has not the 15 positions'):
        load_pretrained(deit(), path, source_grid=(4, 4))
    ours = deit(init_cfg=dict(type='Pretrained', checkpoint=path, source_grid=[3, 5]))
    ours.init_weights()
    grid = theirs.pos_embed[:, 1:].detach().reshape(1, 3, 5, 16).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (4, 4), mode='bicubic').flatten(2).transpose(1, 2)
    assert_close(ours.pos_embed[:, 1:], grid, 1e-6)
    same = deit(img_size=(48, 80))
    load_pretrained(same, path)
    assert torch.equal(same.pos_embed, theirs.pos_embed)


@pytest.mark.parametrize('four_dims', [False, True])
def test_absolute_position_of_swin(four_dims: bool, tmp_path: Path) -> None:
    """mmdet's loader knows it as (1, C, h, w) too, which tells the grid."""
    theirs = swin(use_abs_pos_embed=True, img_size=(48, 80))
    weights = theirs.state_dict()
    grid = weights['absolute_pos_embed'].reshape(1, 12, 20, 8).permute(0, 3, 1, 2)
    ours = swin(use_abs_pos_embed=True, img_size=64)
    if four_dims:
        weights['absolute_pos_embed'] = grid
    load_pretrained(ours, saved(weights, tmp_path / 'a.pth'),
                    source_grid=None if four_dims else (12, 20))
    expected = F.interpolate(grid, (16, 16), mode='bicubic').flatten(2).transpose(1, 2)
    assert_close(ours.absolute_pos_embed, expected, 1e-6)


def test_vit_to_distilled(tmp_path: Path, log) -> None:
    """197 -> 198 tokens: the new one and its position keep their initial values."""
    theirs, ours = timm_vit(), distilled(img_size=96)
    token, position = ours.dist_token.clone(), ours.pos_embed[:, 1].clone()
    load_pretrained(ours, saved(theirs, tmp_path / 'a.pth'))
    assert torch.equal(ours.dist_token, token)
    assert torch.equal(ours.pos_embed[:, 1], position)
    assert torch.equal(ours.pos_embed[:, 0], theirs.pos_embed[:, 0])
    alone = deit(img_size=96)
    load_pretrained(alone, tmp_path / 'a.pth')
    assert torch.equal(ours.pos_embed[:, 2:], alone.pos_embed[:, 1:])
    first = log()[0]
    assert first.levelno == logging.INFO
    assert 'initialised dist_token' in first.getMessage()


def test_distilled_to_windows(tmp_path: Path, log) -> None:
    """A DeiT with windows has no tokens; the patches keep their positions."""
    theirs = timm_vit('deit_tiny_distilled_patch16_224')
    ours = deit(out_type='featmap', window_size=2)
    load_pretrained(ours, saved(theirs, tmp_path / 'a.pth'))
    assert torch.equal(ours.pos_embed, theirs.pos_embed[:, 2:])
    first = log()[0]
    assert first.levelno == logging.INFO
    assert 'skipped head, cls_token, dist_token' in first.getMessage()


def test_distilled_to_vit(tmp_path: Path, log) -> None:
    theirs, ours = timm_vit('deit_tiny_distilled_patch16_224'), deit()
    load_pretrained(ours, saved(theirs, tmp_path / 'a.pth'))
    assert torch.equal(ours.pos_embed, theirs.pos_embed[:, [0, *range(2, 18)]])
    assert torch.equal(ours.cls_token, theirs.cls_token)
    assert 'skipped head, dist_token' in log()[0].getMessage()


@pytest.mark.parametrize('source', [timm_swin, timm_vit])
def test_one_channel_equals_rgb_on_a_grey_image(source, tmp_path: Path) -> None:
    path = saved(source(), tmp_path / 'a.pth')
    build = swin if source is timm_swin else deit
    grey, rgb = build(in_channels=1), build()
    load_pretrained(grey, path)
    load_pretrained(rgb, path)
    x = image(channels=1)
    assert_close(grey(x)[-1], rgb(x.expand(-1, 3, -1, -1))[-1])


@pytest.mark.parametrize('channels', [2, 4, 7])
def test_n_channels_equal_timm(channels: int, tmp_path: Path) -> None:
    """timm's own adaptation of the same weights gives the same outputs."""
    from timm.models import adapt_input_conv
    theirs = timm_vit()
    weights = theirs.state_dict()
    path = saved(theirs, tmp_path / 'a.pth')
    ours = deit(in_channels=channels)
    load_pretrained(ours, path)
    expected = adapt_input_conv(channels, weights['patch_embed.proj.weight'])
    assert_close(ours.patch_embed.projection.weight, expected, 1e-6)


def test_channels_of_another_sensor_are_refused(tmp_path: Path) -> None:
    path = saved(deit(in_channels=5), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='of 5 channels cannot become one of 3'):
        load_pretrained(deit(), path)


@pytest.mark.parametrize('build', [swin, deit, distilled])
def test_same_shapes_are_bit_exact(build, tmp_path: Path) -> None:
    theirs = build()
    with torch.no_grad():
        for value in theirs.parameters():
            value.add_(1.)
    ours = build()
    load_pretrained(ours, saved(theirs, tmp_path / 'a.pth'))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize('official', [False, True])
def test_head_of_another_task_is_skipped(official: bool, tmp_path: Path, log) -> None:
    """Through mmengine's load_from: the backbone loads, the head keeps its values."""
    theirs = timm_swin()
    weights = old_swin_names(theirs) if official else theirs.state_dict()
    model = ImageClassifier(swin(), dict(type='GlobalAveragePooling'),
                            dict(type='LinearClsHead', num_classes=7, in_channels=32))
    before = model.head.fc.weight.clone()
    load_checkpoint(model, saved(weights, tmp_path / 'a.pth'),
                    logger='current')
    assert torch.equal(model.head.fc.weight, before)
    assert torch.equal(model.backbone.patch_embed.projection.weight, theirs.patch_embed.proj.weight)
    mentions = log('head.fc.weight')
    assert len(mentions) == 1
    assert 'size mismatch' in mentions[0].getMessage()
    assert len(log()) == 1


def test_out_indices_leave_layers_behind_without_a_warning(tmp_path: Path, log) -> None:
    ours = SwinTransformer(SWIN, window_size=4, out_indices=(0, 1))
    load_pretrained(ours, saved(timm_swin(), tmp_path / 'a.pth'))
    shallow = DistilledDeiT(VIT, img_size=64, out_indices=1)
    load_pretrained(shallow, saved(timm_vit('deit_tiny_distilled_patch16_224'), tmp_path / 'b.pth'))
    first, second = log()
    assert first.levelno == second.levelno == logging.INFO
    assert '100.0 % of the parameters matched; skipped head, layers.2' in second.getMessage()
