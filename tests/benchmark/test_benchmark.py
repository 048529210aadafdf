"""The benchmark measures what it says, and runs with whatever libraries there are."""
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tests.conftest import needs
from vit_plugin.benchmark import (
    cases,
    growth,
    loading,
    measure,
    operators,
    peers,
    photographs,
    steps,
)
from vit_plugin.cli import benchmark

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """``main`` silences the libraries in this process."""
    yield
    logging.disable(logging.NOTSET)


def test_ratios_are_of_the_same_round() -> None:
    values = {'plugin': [1., 2., 4.], 'other': [2., 6., 4.]}
    plugin, other = measure.summarise(values, unit=2 / 1000)
    assert (plugin['median'], plugin['ratio']) == (1000., 1.)
    assert (other['median'], other['ratio']) == (2000., 2.)
    once, = measure.summarise({'plugin': [3.]}, unit=1)
    assert (once['low'], once['median'], once['high']) == (3., 3., 3.)


def test_peak_counts_what_is_held_at_once() -> None:
    def step() -> None:
        first = torch.empty(1000)
        second = torch.empty(500)
        del first
        torch.empty(1200)
        del second

    assert 4 * 1700 <= measure.peak_bytes(step, torch.device('cpu')) < 4 * 1700 + 1000


def test_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
              capsys: pytest.CaptureFixture[str]) -> None:
    needs('mmpretrain', 'transformers')

    def absent(arch: str, size: int) -> None:
        raise ImportError("No module named 'timm'")

    monkeypatch.setitem(peers.BUILDERS, ('timm', 'deit'), absent)
    monkeypatch.setattr(growth, 'SIDES', (32, 64, 128))
    monkeypatch.setattr(sys, 'argv', [
        'benchmark.py', 'forward:deit-tiny:32:1', 'train:deit-tiny:32:1', 'memory:deit-tiny:32:1',
        'forward-memory:deit-tiny:32x48:1', 'grow-size:deit-tiny:64:1', '--rounds', '2', '--json',
        str(tmp_path / 'a.json'), '--plot', str(tmp_path / 'a.png')])
    benchmark.main()
    out = capsys.readouterr().out
    assert "without timm: No module named 'timm'" in out
    assert 'without mmdet: mmdet has no deit-tiny to compare' in out
    for library in ('mmpretrain', 'transformers'):
        assert f"with {library}'s weights the plugin's output differs by" in out
    found = json.loads((tmp_path / 'a.json').read_text())['cases']
    assert [case['case'].split(':')[0] for case in found] == [
        'forward', 'train', 'memory', 'forward-memory', 'grow-size']
    assert [row['title'] for row in found[0]['rows']] == [
        'plugin', 'mmpretrain', 'torchvision', 'transformers']
    assert "without torchvision: torchvision's ViT takes square images only" in out
    assert all(row['median'] > 0 for case in found[:4] for row in case['rows'])
    assert [row['title'] for row in found[4]['rows']] == ['32 x 32', '64 x 64', 'exponent']
    assert all(found[4]['rows'][1][unit]['plugin'] > 0 for unit in ('seconds', 'bytes'))
    assert (tmp_path / 'a.png').stat().st_size > 10_000


def test_growth() -> None:
    """Exponents of a power, the same work of all libraries, windows of several sizes."""
    assert growth.exponent([1, 2, 4, 9], [5 * amount**1.5 for amount in (1, 2, 4, 9)]
                           ) == pytest.approx(1.5)
    bench = steps.Bench(libraries=growth.PEERS)
    found = growth.points(bench, 'grow-window', 'swin-tiny', (64, 64), 1)
    assert [point.amount for point in found] == [49, 144, 256]
    for point in found:
        assert {step().shape for step in point.steps.values()} == {(1, 768, 2, 2)}
    assert [point.title for point in growth.points(bench, 'grow-batch', 'deit-tiny', (32, 32), 4)
            ] == ['1 images', '2 images', '4 images']


def test_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that learns takes memory above plain training's, and above the teacher's forward."""
    needs('mmpretrain')
    monkeypatch.setattr(steps, 'LOSSES', {'MGD': {}})
    bench = steps.Bench()
    found = bench.steps('distil-memory', 'swin-tiny', (32, 32), 2)
    assert list(found) == ['no teacher', 'teacher asked', 'MGD']
    plain, asked, mgd = (measure.peak_bytes(step, bench.device) for step in found.values())
    assert max(plain, asked) < mgd


def test_operators() -> None:
    """The least times follow from the shapes."""
    layer, q = nn.Linear(64, 32), torch.randn(2, 3, 49, 8)

    def step() -> None:
        with torch.no_grad():
            F.gelu(layer(torch.ones(100, 64)))
            F.scaled_dot_product_attention(q, q, q)

    rows = {row['kind']: row for row in operators.operators(step, rate=1e6, bandwidth=1e3)}
    assert {'products', 'attention', 'GELU', 'copies'} <= set(rows)
    assert rows['products']['floor'] == pytest.approx(2 * 100 * 64 * 32 / 1e6)
    assert rows['attention']['floor'] == pytest.approx(4 * 6 * 49 * 49 * 8 / 1e6)
    assert rows['GELU']['floor'] == pytest.approx(4 * 2 * 100 * 32 / 1e3)
    assert all(row['seconds'] > 0 for row in rows.values())


@pytest.mark.parametrize(('arguments', 'message'), [
    (['frwd:swin-tiny:224:1'], "there is no work 'frwd', but forward, train, "),
    (['forward:resnet:224:1'], 'with a MODEL among swin-tiny, '),
    (['forward:swin-tiny:224:0'], 'must be forward:MODEL:SIZE:BATCH'),
    (['forward:swin-tiny:224:1', 'distil:deit-tiny:224:1'], "'distil:deit-tiny:224:1' must be"),
    (['load:coco:9'], 'must be load:MODEL:SIZE:BATCH, with a MODEL among imagenet, ade20k'),
    (['grow-size:swin-tiny:224:1'], "'grow-size:swin-tiny:224:1' must have a SIZE of 320 or more"),
    (['grow-batch:swin-tiny:224:1'], 'must have a BATCH of 2 or more'),
    (['--runtimes', '--device', 'cuda'], '--runtimes times on the CPU'),
    (['--device', 'cud'], "--device must be cpu or cuda, got 'cud'"),
    (['--device', 'cuda'], 'needs a GPU, and torch finds none'),
    (['--rounds', '0'], "must be 1 or more, got '0'"),
    (['--json', 'absent/a.json'], "there is no folder 'absent' for 'a.json'"),
    (['--plot', 'a.gif'], "--plot must end in .png, .pdf, .svg, got 'a.gif'"),
    (['--plot', 'a.png', '--profile'], '--plot draws comparisons'),
])
def test_refused_before_anything_is_measured(
        arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(benchmark, 'Bench', None)
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *arguments])
    with pytest.raises(SystemExit) as stop:
        benchmark.main()
    assert message in f'{stop.value}{capsys.readouterr().err}'


def test_profile_and_types(monkeypatch: pytest.MonkeyPatch,
                           capsys: pytest.CaptureFixture[str]) -> None:
    needs('mmpretrain')
    monkeypatch.setattr(benchmark, 'copy_rate', lambda: 1e9)
    monkeypatch.setattr(benchmark, 'gemm_rate', lambda device, dtype: 1e9)
    monkeypatch.setattr(benchmark, 'LIBRARIES', ('mmpretrain',))
    case = 'forward:deit-tiny:32:1'
    for options in (['--profile'], ['--int8'], ['--dtype', 'bfloat16', '--cast']):
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', case, '--rounds', '2', *options])
        benchmark.main()
    profiled, int8, cast = capsys.readouterr().out.split(case)[1:]
    assert 'products' in profiled
    assert 'ratio' not in profiled
    assert '\n| plugin int8 ' in int8
    assert '\n| mmpretrain ' in cast


def test_load(image_folder: Path, monkeypatch: pytest.MonkeyPatch,
              capsys: pytest.CaptureFixture[str]) -> None:
    needs('mmpretrain', 'mmdet', 'mmseg')
    monkeypatch.setattr(sys, 'argv', [
        'benchmark.py', 'load', '--rounds', '2', '--images', str(image_folder / 'dark')])
    monkeypatch.setitem(cases.CASES, 'cpu', [
        'load:imagenet:32:2', 'load:ade20k:64:2', 'load:coco:64:2', 'load:coco-jitter:64:2',
        'load:coco-multi-scale:64:2', 'forward:deit-tiny:32:1'])
    threads = torch.get_num_threads()
    benchmark.main()
    assert torch.get_num_threads() == threads
    out = capsys.readouterr().out
    assert 'without' not in out
    for title in (*loading.RECIPES['imagenet'], 'mmseg', 'mmdet'):
        assert f'\n| {title} ' in out
    with pytest.raises(LookupError, match="no recipe 'cifar': there are imagenet, ade20k, coco"):
        loading.steps('cifar', 32, 1, image_folder)


def test_photographs_are_common_files(tmp_path: Path) -> None:
    pytest.importorskip('sklearn')
    paths = sorted(photographs.write_photographs(tmp_path, 4).iterdir())
    assert len(paths) == 4
    for path in paths:
        assert 50_000 < path.stat().st_size <= 63_000
        with Image.open(path) as image:
            assert sorted(image.size) == [375, 500]
