"""The long half of the quickstart: all of it on one step each, and what its table says."""
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from tests import forked
from tests.conftest import ROOT, needs
from vit_plugin.demo import digits, scenes, teachers
from vit_plugin.errors import UserError


def save_random_model(task: str, path: Path) -> None:
    """Write a checkpoint of a quickstart config."""
    config = Config.fromfile(ROOT / f'configs/quickstart/{task}.py')
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    path.parent.mkdir()
    torch.save(model.state_dict(), path)


def test_a_short_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs('mlxtend', 'mmpretrain', 'mmdet', 'mmseg')
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('vit_plugin.demo.runs.subprocess', forked)
    monkeypatch.setattr(scenes, 'NUM_SCENES', {'train': 8, 'val': 2})
    monkeypatch.setattr(digits, 'IMAGES', {name: slice(0, 7) for name in digits.IMAGES})
    scenes.write_scenes(tmp_path / 'scenes')
    for task, folder in teachers.LARGER.items():
        save_random_model(task, tmp_path / folder / 'final.pth')
    teachers.run_teachers(tmp_path, 2, 1)
    runs = json.loads((tmp_path / 'teachers.json').read_text())['runs']
    table = (tmp_path / 'teachers.md').read_text()
    assert len(runs) == 6 + 2 + 2
    assert all(f'| {run["model"]} |' in table for run in runs)
    student = torch.load(tmp_path / 'swin_unlabelled_seed0/final.pth', weights_only=False)
    assert all(key.startswith('backbone.') for key in student['state_dict'])
    assert len(list((tmp_path / 'other_data/teacher').glob('*/*.png'))) == 1797


def test_a_difference_is_called_what_it_is() -> None:
    def row(values: list[float], without: teachers.Row | None = None) -> teachers.Row:
        runs = [SimpleNamespace(metrics=lambda value=value: {'mIoU': value}) for value in values]
        return teachers.Row('', runs, without)  # type: ignore[arg-type]
    alone = row([50., 52., 54.])
    assert alone.verdict('mIoU') == ''
    assert row([55., 56., 57.], alone).verdict('mIoU') == '+4.0: helped'
    assert row([53., 56., 57.], alone).verdict('mIoU') == '+3.3: may be chance'
    assert row([40., 52., 58.], alone).verdict('mIoU') == '-2.0: did not help'


def test_without_the_larger_models(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='run `vit-plugin demo scenes` first'):
        teachers.run_teachers(tmp_path, 2, 1)
