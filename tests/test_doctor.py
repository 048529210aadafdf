"""``python -m vit_plugin.doctor`` on whole and on broken installations."""
import platform
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import vit_plugin
from tests.conftest import needs
from tests.test_registry import BLOCK
from vit_plugin.doctor import gpus

RUN = "import runpy\nrunpy.run_module('vit_plugin.doctor', run_name='__main__')"


def doctor(prelude: str = '') -> tuple[int, list[str]]:
    """Exit status and lines of a doctor in a process of its own."""
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', prelude + RUN],
                            check=False, capture_output=True, text=True)
    return result.returncode, result.stdout.splitlines()


def test_whole_stack() -> None:
    status, lines = doctor()
    assert status == 0, lines
    assert lines[0] == 'For an issue, copy this block.'  # no toolkit speaks before
    first, last = (i for i, line in enumerate(lines) if line == '```')
    block = lines[first + 1:last]  # for an issue
    assert block[0] == f'vit_plugin {vit_plugin.__version__}'
    assert block[1].startswith(f'Python {platform.python_version()}')
    assert platform.system() in block[2]
    assert block[3].startswith('GPU: ')
    for library in ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmcv.ops', 'mmpretrain',
                    'mmdet', 'mmseg', 'transformers'):
        row, = (line for line in block if line.split()[:1] == [library])
        assert row.endswith('ok' if find_spec(library.split('.')[0]) else 'not installed')


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert gpus().startswith('none that torch can use (it is built for ')
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.setattr('torch.cuda.get_device_properties',
                        lambda i: SimpleNamespace(name=f'Card {i}', total_memory=80 * 2**30))
    assert gpus().startswith('Card 0 (80 GiB), Card 1 (80 GiB); torch is built for CUDA')
    monkeypatch.setitem(sys.modules, 'torch', None)
    assert gpus() == 'unknown, as torch does not import (ModuleNotFoundError)'


def test_ops_built_for_another_torch() -> None:
    needs('mmpretrain', 'mmdet')
    blocked = "name in ('mmcv._ext', 'mmpretrain.models')"
    status, lines = doctor(BLOCK.replace("name.split('.')[0] in {blocked}", blocked).format())
    assert status == 1
    row, = (line for line in lines if line.split()[:1] == ['mmpretrain'])
    assert 'BROKEN' in row  # although `import mmpretrain` works
    assert f"'transformers<4.45'; there is {metadata.version('transformers')})" in row
    row, = (line for line in lines if line.split()[:1] == ['mmcv.ops'])
    assert 'BROKEN' in row
    assert 'build it again' in row
    assert any(line.startswith('Not in order:') and 'mmcv.ops' in line for line in lines)


def test_missing_and_absent_libraries() -> None:
    hide = ("from importlib import metadata\n"
            "found = metadata.version\n"
            "def version(name):\n"
            "    if name in {hidden}:\n"
            "        raise metadata.PackageNotFoundError(name)\n"
            "    return found(name)\n"
            "metadata.version = version\n")
    status, lines = doctor(hide.format(hidden=(
        'onedl-mmengine', 'mmengine', 'onedl-mmsegmentation', 'mmsegmentation')))
    assert status == 1
    assert any(line.startswith('mmengine') and 'MISSING' in line for line in lines)
    assert any(line.startswith('mmseg') and line.endswith('not installed') for line in lines)
    assert lines[-1].startswith('Not in order: mmengine')
