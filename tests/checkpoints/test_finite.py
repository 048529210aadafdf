"""Weights that are NaN or infinite are refused on every way, and named."""
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from vit_plugin.checkpoints import CheckpointError, load_pretrained, read_state_dict

from .checkpoint_models import deit, swin, timm_vit

BAD = {'NaN': float('nan'), 'infinite': float('inf')}


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('build', [swin, deit])
def test_own_keys(build: Callable[..., nn.Module], value: str) -> None:
    """As in a resumed training, or a test."""
    model = nn.ModuleDict({'backbone': build()})
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    name = 'backbone.patch_embed.projection.weight'
    weights[name].view(-1)[7] = BAD[value]
    with pytest.raises(CheckpointError, match=f'NaN or infinite: {name}'):
        model.load_state_dict(weights)
    assert model['backbone'].patch_embed.projection.weight.isfinite().all()


def test_head_of_another_layout(tmp_path: Path) -> None:
    """timm's classifier by `load_from`, whose backbone alone was looked at."""
    from mmpretrain.models import ImageClassifier
    weights = timm_vit().state_dict()
    weights['head.bias'][0] = float('nan')
    model = ImageClassifier(deit(), head=dict(type='vit_plugin.DeiTHead', in_channels=16,
                                              num_classes=5))
    with pytest.raises(CheckpointError, match=r'NaN or infinite: head\.layers\.head\.bias'):
        model.load_state_dict(weights)
    torch.save(weights, tmp_path / 'a.pth')
    load_pretrained(deit(), tmp_path / 'a.pth')  # which has no use for it


def test_convert(tmp_path: Path, tool: Callable) -> None:
    weights = timm_vit().state_dict()
    weights['head.bias'][0] = float('nan')
    torch.save(weights, tmp_path / 'a.pth')
    with pytest.raises(SystemExit, match=r"'.*a\.pth'.*NaN or infinite: head\.layers\.head\.bias"):
        tool('convert_checkpoint', tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert not (tmp_path / 'b.pth').exists()


@pytest.mark.parametrize(('keys', 'taken', 'beside'), [
    (['model', 'model_ema'], 'model', "['model_ema']"),
    (['ema_state_dict', 'state_dict'], 'state_dict', "['ema_state_dict']"),
    (['model_ema', 'averaged'], 'model_ema', "['averaged']")])
def test_other_weights_beside_are_named(keys: list[str], taken: str, beside: str, tmp_path: Path,
                                        log: Callable) -> None:
    weights = timm_vit().state_dict()
    others = {f'module.{name}': value + 1 for name, value in weights.items()}
    content = {key: weights if key == taken else others for key in keys}
    torch.save({**content, 'optimizer': {'state': {}}, 'epoch': 3}, tmp_path / 'a.pth')
    assert torch.equal(read_state_dict(tmp_path / 'a.pth')['pos_embed'], weights['pos_embed'])
    said, = log(f"the weights under '{taken}' are taken, not those under {beside}")
    assert str(tmp_path / 'a.pth') in said.getMessage()
    assert said.levelno == logging.INFO


def test_one_set_of_weights_is_no_news(tmp_path: Path, log: Callable) -> None:
    torch.save({'model': timm_vit().state_dict(), 'optimizer': {'state': {}}}, tmp_path / 'a.pth')
    read_state_dict(tmp_path / 'a.pth')
    assert not log('are taken')


def test_eight_threads(tmp_path: Path) -> None:
    """torch has one list of allowed names for all threads."""
    from argparse import Namespace
    torch.save({'model': {'a.b': torch.ones(2)}, 'args': Namespace(lr=0.1)}, tmp_path / 'a.pth')
    before = set(torch.serialization.get_safe_globals())
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read_state_dict, [tmp_path / 'a.pth'] * 400))
    assert len(found) == 400
    assert set(torch.serialization.get_safe_globals()) == before
