"""The ten lines of docs/deploy.md run where neither torch nor OpenMMLab can be imported."""
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.export import models
from vit_plugin.export import Settings, export_model
from vit_plugin.export.answers import paste
from vit_plugin.export.formats import convert_onnx

assert onnxruntime  # so that this counts as a slow test
BARE = ("import sys\nfor name in ('torch', 'mmengine', 'mmcv', 'mmpretrain', 'vit_plugin'):\n"
        '    sys.modules[name] = None\n')
CODE = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/deploy.md').read_text(), re.DOTALL)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx, its model.xml and photo.jpg."""
    models.needs_exporter()
    folder = tmp_path_factory.mktemp('deployed')
    cfg = models.deit_classifier()
    weights = models.checkpoint(models.build(cfg), folder / 'weights.pth')
    export_model(cfg, weights, Settings('onnx', folder / 'model.onnx', (224, 224), fixed=True))
    convert_onnx(folder / 'model.onnx', {}, folder / 'model.xml')
    pixels = np.random.randint(0, 256, (50, 70, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / 'photo.jpg')
    return folder


@pytest.mark.parametrize('code', CODE[:2], ids=['onnxruntime', 'openvino'])
def test_ten_lines(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, '-c', BARE + code], cwd=folder, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r'(cat|dog|owl|\d) 0\.\d+', done.stdout)


def test_pasting_by_numpy() -> None:
    names: dict[str, Any] = {}
    exec(CODE[2], names)
    masks, boxes = np.random.rand(4, 28, 28), 20 * np.random.rand(4, 4) + [0, 0, 20, 20]
    expected = paste(masks, boxes, (30, 50))
    for mask, box, whole in zip(masks, boxes, expected):
        assert (names['paste'](mask, box, 30, 50) != whole).mean() <= 1e-3  # of rounding
