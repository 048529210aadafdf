"""The ten lines of docs/deploy.md run where neither torch nor OpenMMLab can be imported."""
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.export import models
from vit_plugin.export import Settings, export_model

assert onnxruntime  # so that this counts as a slow test
BARE = ("import sys\nfor name in ('torch', 'mmengine', 'mmcv', 'mmpretrain', 'vit_plugin'):\n"
        '    sys.modules[name] = None\n')
CODE = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/deploy.md').read_text(), re.DOTALL)


@pytest.mark.parametrize(('runtime', 'to', 'code'), [
    ('onnxruntime', 'onnx', CODE[0]), ('openvino', 'openvino', CODE[1])])
def test_ten_lines(runtime: str, to: str, code: str, tmp_path: Path) -> None:
    pytest.importorskip(runtime)
    cfg = models.deit_classifier()
    weights = models.checkpoint(models.build(cfg), tmp_path / 'weights.pth')
    ending = {'onnx': '.onnx', 'openvino': '.xml'}[to]
    export_model(cfg, weights, Settings(to, tmp_path / f'model{ending}', (224, 224), fixed=True))
    pixels = np.random.randint(0, 256, (50, 70, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.jpg')
    done = subprocess.run([sys.executable, '-c', BARE + code], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r'(cat|dog|owl|\d) 0\.\d+', done.stdout)
