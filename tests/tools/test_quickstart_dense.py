"""The dense half of the quickstart: its scenes, and all of it on a few steps."""
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.conftest import ROOT

sys.path.append(str(ROOT / 'tools'))
import quickstart_dense


def test_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart_dense, 'NUM_SCENES', {'train': 3, 'val': 10})
    scenes = tmp_path / 'scenes'
    quickstart_dense.write_scenes(scenes)
    assert len(list(scenes.glob('ade/images/training/*.png'))) == 3
    coco = COCO(scenes / 'coco/val.json')
    assert len(coco.getAnnIds()) > 20
    for image in coco.loadImgs(coco.getImgIds()):
        picture = np.asarray(Image.open(scenes / 'coco/val' / image['file_name']))
        folder = scenes / 'ade/annotations/validation'
        labels = np.asarray(Image.open(folder / image['file_name']))
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
    monkeypatch.setattr(quickstart_dense, 'NUM_PLACES', {'train': 2, 'val': 1})
    monkeypatch.setattr(quickstart_dense, 'IMAGES', {'teacher': slice(0, 3), 'val': slice(3, 5)})
    singles = tmp_path / 'singles'
    quickstart_dense.write_singles(singles)
    assert len(list(singles.glob('train/7/*.png'))) == 6
    pictures = [np.asarray(Image.open(path)) for path in sorted(singles.glob('val/*/*.png'))]
    assert len(pictures) == 20
    for picture in pictures:
        assert picture.shape == (48, 48)
        assert 30 < np.count_nonzero(picture > 100) < 1000


def test_a_short_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(quickstart_dense, 'NUM_PLACES', {'train': 1, 'val': 1})
    monkeypatch.setattr(quickstart_dense, 'NUM_SCENES', {'train': 16, 'val': 10})
    quickstart_dense.run_dense(tmp_path, dict.fromkeys(quickstart_dense.ITERATIONS, 2))
    runs = json.loads((tmp_path / 'dense.json').read_text())
    assert [run['work_dir'] for run in runs] == [
        f'{task}_{start}' for task in ('detector', 'segmentor') for start in
        ('pretrained', 'random')]
    for run in runs:
        metric = 'mIoU' if 'segmentor' in run['work_dir'] else 'coco/bbox_mAP_50'
        assert 0 <= run[metric] <= 100
        log = (tmp_path / run['work_dir'] / 'output.log').read_text()
        # All of the Swin's weights are loaded, or none.
        assert ('100.0 % of the parameters matched' in log) == ('pretrained' in run['work_dir'])
