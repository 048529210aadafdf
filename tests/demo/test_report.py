"""The demo's report: one page that holds what is there and names what is not."""
import base64
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from tests.conftest import ROOT, needs
from vit_plugin.pictures.subject import load_subject

COMMAND = '-m vit_plugin train quickstart/deit --cfg-options a=<b>'


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """What a demo leaves that ended before detection: a DeiT's weights, a table, curves."""
    needs('mmpretrain', 'mmdet', 'pytorch_grad_cam')
    folder = tmp_path / 'quickstart'
    (folder / 'deit_soft_seed0').mkdir(parents=True)
    (folder / 'data/val/3').mkdir(parents=True)
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 255, (28, 28), np.uint8)
        Image.fromarray(pixels).save(folder / f'data/val/3/{i}.png')
    model = load_subject(Config.fromfile(ROOT / 'configs/quickstart/deit_soft.py'), '', None).model
    torch.save(dict(state_dict=model.state_dict()), folder / 'deit_soft_seed0/final.pth')
    run = dict(work_dir='deit_seed2', seconds=3.5, command=COMMAND)
    (folder / 'results.json').write_text(json.dumps(
        dict(head=['model', 'accuracy'], rows=[['DeiT & co', '80.0 %']], runs=[run])))
    Image.new('RGB', (40, 30), 'red').save(folder / 'curves.png')
    return folder


def test_page_holds_what_is_there_and_names_what_is_not(
        work_dir: Path, tool: Callable[..., None], capsys: pytest.CaptureFixture) -> None:
    MMLogger._instance_dict.clear()  # the next one has the output of its time, as in a demo
    capsys.readouterr()
    tool('demo', 'report', '--work-dir', work_dir)
    said = capsys.readouterr()
    assert said.out.splitlines()[:-1] == ['Drawing what the models see ...',
                                          f'Report: {work_dir / "report.html"}']
    assert said.err == ''
    assert ' - mmengine - INFO - ' in (work_dir / 'report.log').read_text()
    page = (work_dir / 'report.html').read_text()
    assert not re.search(r'https?://|<script|<link|src="(?!data:)', page)
    assert '<td>DeiT &amp; co</td><td>80.0 %</td>' in page
    assert f'python {escape(COMMAND)}' in page
    for name in ('curves', 'attention', 'gradcam'):
        data = (work_dir / f'{name}.png').read_bytes()
        assert base64.b64encode(data).decode() in page
    assert min(Image.open(work_dir / 'attention.png').size) > 300
    missing = re.findall('Missing: (\\w+) ', page)
    assert missing == ['dense', 'detections', 'segmentations', 'windows', 'pyramid']
    assert f'torch {torch.__version__}' in page


def test_no_work_dir(tool: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='run the other parts of the demo first'):
        tool('demo', 'report', '--work-dir', tmp_path / 'absent')
