"""The dense half of the quickstart: its scenes, and all of it on a few steps."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from tests.conftest import ROOT


def test_a_short_run(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, 'tools/quickstart_dense.py', '--iterations', '2', '--work-dir',
         str(tmp_path)], cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
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
    for picture in ('detections.png', 'segmentations.png'):
        assert Image.open(tmp_path / picture).size[0] > 500
    check_scenes(tmp_path / 'scenes')


def check_scenes(scenes: Path) -> None:
    """Boxes, masks, label maps and pictures tell of the same digits."""
    coco = COCO(scenes / 'coco/val.json')
    for image in coco.loadImgs(coco.getImgIds())[:20]:
        picture = np.asarray(Image.open(scenes / 'coco/val' / image['file_name']))
        folder = scenes / 'ade/annotations/validation'
        labels = np.asarray(Image.open(folder / image['file_name'])).astype(int) - 2
        expected = np.full_like(labels, -1)
        for annotation in coco.loadAnns(coco.getAnnIds(image['id'])):
            mask = coco.annToMask(annotation).astype(bool)
            expected[mask] = 0
            rows, columns = mask.nonzero()
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation['bbox'] == box
            assert picture[mask].mean() > 100
        assert np.array_equal(labels, expected)
        assert picture[expected < 0].mean() < 60
