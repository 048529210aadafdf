"""torchvision's weights compute the same here, heads included, or are refused by name."""
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from mmengine.runner import load_checkpoint
from mmpretrain.models import ImageClassifier
from torch import nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

from vit_plugin.checkpoints import CheckpointError, load_pretrained

from .checkpoint_models import (
    CLASSES,
    SIZE,
    assert_close,
    assert_stages_equal,
    deit,
    distilled,
    image,
    randomise,
    swin,
)


def theirs_swin(v2: bool = False) -> nn.Module:
    kwargs = dict(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2) if v2 else {}
    return randomise(torchvision.models.SwinTransformer(
        [4, 4], 8, [2, 1, 2], [1, 2, 4], [4, 4], num_classes=CLASSES, **kwargs))


def theirs_vit(**kwargs) -> nn.Module:
    return randomise(torchvision.models.VisionTransformer(
        SIZE, 16, 3, 2, 16, 64, num_classes=CLASSES, **kwargs))


SOURCES = [(theirs_swin, swin), (theirs_vit, deit)]


@pytest.mark.parametrize(('source', 'build'), SOURCES)
@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.model.encoder.'])
def test_in(source: Callable, build: Callable, prefix: str, tmp_path: Path) -> None:
    theirs, ours = source(), build()
    weights = {prefix + key: value for key, value in theirs.state_dict().items()}
    torch.save({'model': weights}, tmp_path / 'a.pth')
    load_pretrained(ours, tmp_path / 'a.pth')
    assert_stages_equal(theirs, ours)


def test_final_norms(tmp_path: Path) -> None:
    for (source, build), out in zip(SOURCES, ({'out_indices': 2}, {})):
        theirs, ours = source(), build(**out)
        torch.save(theirs.state_dict(), tmp_path / 'a.pth')
        load_pretrained(ours, tmp_path / 'a.pth')
        for name in ('head', 'heads', 'permute', 'avgpool', 'flatten'):
            setattr(theirs, name, nn.Identity())
        with torch.no_grad():
            expected = theirs(image())
            expected = expected.permute(0, 3, 1, 2) if expected.ndim == 4 else expected
            assert_close(ours(image())[0], expected)


@pytest.mark.parametrize('hidden', [None, 24], ids=['linear', 'two layers'])
def test_load_from_of_a_vit(hidden: int | None, tmp_path: Path) -> None:
    theirs = theirs_vit(representation_size=hidden)
    ours = ImageClassifier(deit(), head=dict(
        type='VisionTransformerClsHead', num_classes=CLASSES, in_channels=16, hidden_dim=hidden))
    check_scores(theirs, ours, tmp_path)


def test_load_from_of_a_swin(tmp_path: Path) -> None:
    ours = ImageClassifier(swin(out_indices=2), dict(type='GlobalAveragePooling'), dict(
        type='LinearClsHead', num_classes=CLASSES, in_channels=32))
    check_scores(theirs_swin(), ours, tmp_path)


def check_scores(theirs: nn.Module, ours: nn.Module, tmp_path: Path) -> None:
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    load_checkpoint(ours, str(tmp_path / 'a.pth'))
    ours.eval()
    with torch.no_grad():
        assert_close(ours(image(), mode='tensor'), theirs(image()))


def test_older_names_of_the_mlp(tmp_path: Path) -> None:
    theirs = theirs_vit()
    weights = {key.replace('mlp.0.', 'mlp.linear_1.').replace('mlp.3.', 'mlp.linear_2.'): value
               for key, value in theirs.state_dict().items()}
    assert weights.keys() != theirs.state_dict().keys()
    torch.save(weights, tmp_path / 'a.pth')
    ours = distilled()
    load_pretrained(ours, tmp_path / 'a.pth')
    for theirs_layer, layer in zip(theirs.encoder.layers, ours.layers):
        assert torch.equal(layer.ffn.layers[0][0].weight, theirs_layer.mlp[0].weight)
        assert torch.equal(layer.ffn.layers[1].bias, theirs_layer.mlp[3].bias)


def test_another_window_and_image_size(tmp_path: Path, log: Callable) -> None:
    for (source, _), build in zip(SOURCES, (partial(swin, window_size=6, img_size=96),
                                            partial(deit, img_size=96))):
        torch.save(source().state_dict(), tmp_path / 'a.pth')
        load_pretrained(build(), tmp_path / 'a.pth')
    assert ['resized' in record.getMessage() for record in log()] == [True, True]
    assert all(record.levelno == logging.INFO for record in log())


def test_swin_v2_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(theirs_swin(v2=True).state_dict(), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='Swin V2') as error:
        load_pretrained(swin(), tmp_path / 'a.pth')
    assert 'torchvision' in str(error.value)
