"""Tiny data sets in the formats that the toolkits read, and the tools as functions."""
import json
import os
import runpy
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from types import SimpleNamespace
from typing import Any

# The suite runs one process for each core, so each of them has one thread.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from PIL import Image

pytest_plugins = ['tests.pictured', 'tests.tool_runs']
ROOT = Path(__file__).parents[1]
SIZE = 64
MEMORY = Path('/dev/shm')
WNIDS = ('n01440764', 'n01443537')
# What modules import whose tests start processes, train, or export.
SLOW = ('subprocess', 'forked', 'Runner', 'onnxruntime')
# What an environment may lack, for ``--allow-missing``.
OPTIONAL = ('cv2', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg', 'torchvision', 'transformers',
            'pycocotools', 'scipy', 'simplejpeg', 'mlxtend', 'pytorch_grad_cam', 'skimage',
            'sklearn')


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--allow-missing', action='store_true', help='leave out, as skipped, modules '
                     'and tests that import a library which is not installed')


def missing(error: BaseException | None) -> str | None:
    """The library for want of which a test file cannot be imported, or a test cannot go on.

    None for any other error, and where a file of the plugin imports it: the test then needs an
    import of its own that says so, or the plugin's is one too many.
    """
    library = (getattr(error, 'name', None) or '').split('.')[0]
    if not isinstance(error, ModuleNotFoundError) or library not in OPTIONAL or find_spec(library):
        return None
    files = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    importer = [file for file in files if not file.startswith('<frozen importlib')][-1]
    return None if Path(importer).is_relative_to(ROOT / 'vit_plugin') else library


def needs(*libraries: str) -> None:
    """Import what a test needs without importing it itself, as its configs or processes do."""
    for library in libraries:
        import_module(library)


def free_port() -> int:
    """Of this machine, for processes that find each other by it."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class LeftOut(pytest.Item):
    """Stands for a module in the counts and the summary; xdist keeps skipped modules to itself."""

    library = ''
    fixturenames, module = (), None  # as of a function

    def runtest(self) -> None:
        pytest.skip(f'{self.path.relative_to(ROOT)} needs {self.library}')

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    report = yield
    if report.failed and collector.config.getoption('allow_missing'):
        library = missing(report.call.excinfo.value.__cause__)
        if library:
            item = LeftOut.from_parent(collector, name='left_out')
            item.library = library
            report.outcome, report.longrepr, report.result = 'passed', None, [item]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        library = missing(error)
        if library and item.config.getoption('allow_missing'):
            pytest.skip(f'a test of {item.path.relative_to(ROOT)} needs {library}')
        raise


pytest_runtest_call = pytest_runtest_setup


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, which would otherwise keep one process busy at the end; mark what
    ``make test-fast`` leaves out.
    """
    items.sort(key=lambda item: 'test_quickstart' not in item.nodeid)
    for item in items:
        if 'tool' in item.fixturenames or any(hasattr(item.module, name) for name in SLOW):
            item.add_marker('slow')


@pytest.fixture(autouse=True, scope='session')
def _short_runs() -> Iterator[None]:
    """Without what takes seconds in every run: the list of the machine's compilers, yapf's
    formatting of the config, 8 times, and garbage collection for each data set, which looks
    through all that the suite has imported.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))
        if find_spec('cv2'):  # without it mmengine has no runner
            patch.setattr('mmengine.runner.runner.collect_env', dict)
            patch.setattr('mmengine.dataset.base_dataset.gc', SimpleNamespace(collect=int))
        yield


@pytest.fixture(autouse=True, scope='session')
def _names_of_runs() -> Iterator[None]:
    """mmengine names a run by the second, and two of one name share a logger and its file."""
    last = 0.

    def now() -> float:
        nonlocal last
        last = max(time.time(), last + 1)
        return last

    with pytest.MonkeyPatch.context() as patch:
        if find_spec('cv2'):
            patch.setattr('mmengine.runner.runner.time',
                          SimpleNamespace(**{**vars(time), 'time': now}))
        yield


@pytest.fixture(autouse=True, scope='session')
def _configs_in_memory() -> Iterator[None]:
    """mmengine copies a config and each of its bases to a file before it reads them: on a slow disk
    that takes longer than all else.
    """
    with pytest.MonkeyPatch.context() as patch:
        if MEMORY.is_dir():
            folder = partial(tempfile.TemporaryDirectory, dir=MEMORY)
            patch.setattr('mmengine.config.config.tempfile',
                          SimpleNamespace(**{**vars(tempfile), 'TemporaryDirectory': folder}))
        yield


@pytest.fixture(autouse=True, scope='session')
def _devices_of_autograd() -> None:
    """Without the GPU that a first backward pass finds after a `FakeTensorMode`, where there is
    none: it would start a thread for it, and what forks could run no backward pass (torch 2.13).
    """
    torch.ones(1, requires_grad=True).backward()


@pytest.fixture(autouse=True)
def _no_scope() -> Iterator[None]:
    # A runner leaves the scope of its toolkit behind, for whatever is built next: a test, or a
    # fixture of the session, which is built before this one. And a logger that writes to the output
    # of its test, which a run of the same name within the same second would take.
    yield
    for kind in (DefaultScope, MMLogger, MessageHub):
        kind._instance_dict.clear()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope='session')
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 4 images: <folder>/<class>/<i>.png."""
    root = tmp_path_factory.mktemp('folder')
    for i, name in enumerate(('dark', 'light')):
        (root / name).mkdir()
        for j in range(4):
            generator = np.random.default_rng(4 * i + j)
            pixels = generator.integers(100 * i, 100 * i + 100, (SIZE, SIZE, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f'{j}.png')
    return root


@pytest.fixture(scope='session')
def imagenet(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/<wnid>/ with 2 images each and val/<wnid>/ with 4 each."""
    root = tmp_path_factory.mktemp('imagenet')
    for wnid, source in zip(WNIDS, ('dark', 'light')):
        for split, count in (('train', 2), ('val', 4)):
            folder = root / split / wnid
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f'{wnid}_{i}.JPEG').symlink_to(image_folder / source / f'{i}.png')
    return root


@pytest.fixture(scope='session')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 images with 2 squares each: images/<i>.png and annotations.json (boxes, polygons)."""
    root = tmp_path_factory.mktemp('coco')
    (root / 'images').mkdir()
    images, annotations = [], []
    for i in range(4):
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        images.append(dict(id=i, file_name=f'{i}.png', height=SIZE, width=SIZE))
        for j, (x, y) in enumerate(((4, 6), (36, 30))):
            pixels[y:y + 20, x:x + 20] = 100 + 100 * j
            annotations.append(dict(
                id=2 * i + j + 1, image_id=i, category_id=j + 1, bbox=[x, y, 20, 20], area=400,
                iscrowd=0, segmentation=[[x, y, x + 20, y, x + 20, y + 20, x, y + 20]]))
        Image.fromarray(pixels).save(root / 'images' / f'{i}.png')
    (root / 'annotations.json').write_text(json.dumps(dict(
        images=images, annotations=annotations,
        categories=[dict(id=1, name='grey'), dict(id=2, name='white')])))
    return root


@pytest.fixture(scope='session')
def ade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 images with label maps of 2 classes: images/<i>.jpg, annotations/<i>.png."""
    root = tmp_path_factory.mktemp('ade')
    (root / 'images').mkdir()
    (root / 'annotations').mkdir()
    for i in range(4):
        labels = np.zeros((SIZE, SIZE), np.uint8)
        labels[10 + i:50, 20:60] = 1
        Image.fromarray(np.stack([labels * 200] * 3, -1)).save(root / 'images' / f'{i}.jpg')
        Image.fromarray(labels).save(root / 'annotations' / f'{i}.png')
    return root


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``tool('train', 'config.py', '--amp')`` runs tools/train.py in this process."""
    from mmengine.runner import CheckpointLoader

    def run(name: str, *arguments: object) -> None:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(CheckpointLoader, '_schemes', {**CheckpointLoader._schemes})
        monkeypatch.setattr(sys, 'argv', [f'tools/{name}.py', *map(str, arguments)])
        try:
            runpy.run_path(f'tools/{name}.py', run_name='__main__')
        except SystemExit as end:
            if end.code:
                raise
    return run
