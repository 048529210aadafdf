"""The scenes of the quickstart's dense half tell the same as COCO data and as label maps."""
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
        is_digit = np.zeros(labels.shape, bool)
        for annotation in coco.loadAnns(coco.getAnnIds(image['id'])):
            mask = coco.annToMask(annotation).astype(bool)
            assert not (mask & is_digit).any()
            is_digit |= mask
            rows, columns = mask.nonzero()
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation['bbox'] == box
            assert picture[mask].mean() > 100
        assert np.array_equal(labels, 1 + is_digit)
        assert picture[~is_digit].mean() < 60
