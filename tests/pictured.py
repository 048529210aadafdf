"""Tiny configs whose models are pictured."""
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MakeConfig = Callable[[str, str], Path]


@pytest.fixture
def no_window() -> Iterator[None]:
    from matplotlib import pyplot
    pyplot.switch_backend('Agg')
    yield
    pyplot.close('all')


@pytest.fixture
def pictured(tmp_path: Path, request: pytest.FixtureRequest) -> MakeConfig:
    """``pictured('detection', 'DeiT')`` is the file of a tiny config on the tests' data."""
    from tests.cli.test_train_and_test import classification, detection, segmentation
    tasks = {'classification': (classification, 'image_folder'), 'detection': (detection, 'coco'),
             'segmentation': (segmentation, 'ade')}

    def write(task: str, backbone: str) -> Path:
        text, data = tasks[task]
        path = tmp_path / f'{task}_{backbone}.py'
        path.write_text(text(backbone, request.getfixturevalue(data)))
        return path
    return write
