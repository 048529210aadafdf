"""The demo's report: one page that holds what is there and names what is not."""
import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from tests.conftest import ROOT, needs
from vit_plugin.demo import report
from vit_plugin.pictures.subject import load_subject

COMMAND = '-m vit_plugin train quickstart/deit --cfg-options a=<b>'


class Page(HTMLParser):
    """What is in a page: its rows of cells, its pictures, its text, and whether tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.images: dict[str, bytes] = {}
        self.text = ''
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == 'img':
            kind, data = dict(attrs)['src'].split(',')
            assert kind == 'data:image/png;base64'
            self.images[dict(attrs)['alt']] = base64.b64decode(data)
        elif tag != 'meta':
            self.open.append(tag)
            if tag == 'tr':
                self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ('td', 'th'):
            self.rows[-1].append(data)


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """What a demo leaves that ended before detection: a DeiT's weights, a table, curves."""
    needs('mmpretrain', 'mmdet')
    folder = tmp_path / 'quickstart'
    (folder / 'deit_soft_seed0').mkdir(parents=True)
    (folder / 'data/val/3').mkdir(parents=True)
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 255, (28, 28), np.uint8)
        Image.fromarray(pixels).save(folder / f'data/val/3/{i}.png')
    model = load_subject(Config.fromfile(ROOT / 'configs/quickstart/deit_soft.py'), '', None).model
    torch.save(dict(state_dict=model.state_dict()), folder / 'deit_soft_seed0/final.pth')
    (folder / 'results.md').write_text('| model | accuracy |\n|---|---|\n| DeiT & co | 80.0 % |\n')
    (folder / 'results.json').write_text(json.dumps(
        [dict(model='DeiT', seed=2, seconds=3.5, command=COMMAND)]))
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
    text = (work_dir / 'report.html').read_text()
    assert not re.search(r'https?://|<script|<link|src="(?!data:)', text)
    page = Page(text)
    assert ['model', 'accuracy'] in page.rows
    assert ['DeiT & co', '80.0 %'] in page.rows
    assert ['DeiT, seed 2', '3.5'] in page.rows
    assert f'python {COMMAND}' in page.text
    assert page.images['Accuracy during training'] == (work_dir / 'curves.png').read_bytes()
    drawn = Image.open(BytesIO(page.images['Where the DeiT looks']))
    assert min(drawn.size) > 300
    for name in ('dense.md', 'detections.png', 'segmentations.png', 'windows.png', 'dense.json'):
        assert re.search(rf'Missing: {re.escape(name)} ', page.text)
    assert 'Missing: results' not in page.text
    assert 'Missing: attention' not in page.text
    assert f'torch {torch.__version__}' in page.text
    assert ' cores' in page.text


def test_tables_keep_their_cells_and_notes() -> None:
    page = Page(report.table_html('| a | b |\n|:--|---:|\n| <x> | 1 ± 2 |\n\nA note.\n'))
    assert page.rows == [['a', 'b'], ['<x>', '1 ± 2']]
    assert 'A note.' in page.text


def test_no_work_dir(tool: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='run the other parts of the demo first'):
        tool('demo', 'report', '--work-dir', tmp_path / 'absent')
