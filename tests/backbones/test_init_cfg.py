"""Mistakes in ``init_cfg`` are named before anything is read."""
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import PretrainedInit

from vit_plugin.backbones import DeiT
from vit_plugin.errors import UserError

TINY = dict(arch=dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8),
            img_size=32, patch_size=16)


def given(**arguments: Any) -> dict[str, Any]:
    return dict(type='Pretrained', checkpoint='a.pth') | arguments


@pytest.mark.parametrize(('init_cfg', 'message'), [
    (given(checkpoint=['a.pth', 'b.pth']), r"checkpoint=\['a.pth', 'b.pth'\].*a file or an addr"),
    (given(checkpoint=None), 'checkpoint=None'), (given(checkpoint=''), "checkpoint=''"),
    (dict(type='Pretrained'), 'checkpoint=None'),
    (dict(type=PretrainedInit, checkpoint=1), 'checkpoint=1'),
    (given(strict=True), 'strict=True.*takes checkpoint, prefix, source_grid'),
    (given(treshold=0.5), "treshold=0.5.*Did you mean 'threshold'"),
    (given(prefix=['backbone.']), r"prefix=\['backbone\.'\]"),
    (dict(checkpoint='d.pth'), r"type.*got \{'checkpoint': 'd\.pth'\}"),
    ([given(), dict(layer='Linear')], r"type.*got \{'layer': 'Linear'\}"),
    ('d.pth', "must be a dict or a list of dicts.*got 'd.pth'"), (3, 'list of dicts.*got 3'),
    (given(source_grid=(4, 4, 4)), r'source_grid.*\(4, 4, 4\)'),
    (given(source_grid='4'), "source_grid.*'4'"), (given(source_grid=0), 'source_grid.*got 0'),
    (given(threshold=90), r'threshold=90.*\[0, 1\]'),
    (given(threshold='0.9'), "threshold='0.9'"), (given(threshold=True), 'threshold=True')],
    ids=str)
def test_mistakes_are_named(init_cfg: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DeiT(**TINY, init_cfg=init_cfg).init_weights()


@pytest.mark.parametrize('more', [
    {}, dict(source_grid=2, threshold=1, map_location='cpu'), dict(threshold=0, prefix=None),
    dict(source_grid=[2, 2], classifier_norm=True), dict(type=PretrainedInit)], ids=str)
def test_what_is_right_is_loaded(more: dict[str, Any], tmp_path: Path) -> None:
    theirs = DeiT(**TINY)
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    for kind in (dict, ConfigDict):
        ours = DeiT(**TINY, init_cfg=kind(given(checkpoint=tmp_path / 'a.pth') | more))
        ours.init_weights()
        assert all(torch.equal(value, ours.state_dict()[name])
                   for name, value in theirs.state_dict().items())


@pytest.mark.parametrize('init_cfg', [None, []])
def test_no_init_cfg(init_cfg: list | None) -> None:
    model = DeiT(**TINY, init_cfg=init_cfg)
    model.init_weights()
    assert model.init_cfg == init_cfg
