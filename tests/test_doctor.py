"""``python -m vit_plugin.doctor`` on whole and on broken installations."""
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

import vit_plugin
from tests.conftest import needs
from vit_plugin.doctor import gpus, main


def test_whole_stack() -> None:
    """In a process of its own, where nothing is imported yet."""
    result = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'vit_plugin.doctor'],
                            check=False, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert result.returncode == 0, lines
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


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
               ) -> Callable[[], list[str]]:
    """Lines of a doctor in this process, which finds something that needs a cure."""
    def run() -> list[str]:
        monkeypatch.setattr(sys, 'argv', ['vit-plugin doctor'])
        assert main() == 1
        return capsys.readouterr().out.splitlines()
    return run


def test_ops_built_for_another_torch(in_process: Callable[[], list[str]],
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    needs('mmpretrain', 'mmdet')

    def refuse(name: str) -> ModuleType:
        if name in ('mmcv.ops', 'mmpretrain.models'):
            raise ImportError(f'undefined symbol in {name}')
        return import_module(name)

    monkeypatch.setattr('vit_plugin.doctor.import_module', refuse)
    monkeypatch.setattr('vit_plugin.doctor.import_toolkit', refuse)
    lines = in_process()
    row, = (line for line in lines if line.split()[:1] == ['mmpretrain'])
    assert 'BROKEN' in row  # although `import mmpretrain` works
    assert f"'transformers<4.45'; there is {metadata.version('transformers')})" in row
    row, = (line for line in lines if line.split()[:1] == ['mmcv.ops'])
    assert 'BROKEN' in row
    assert 'build it again' in row
    assert any(line.startswith('Not in order:') and 'mmcv.ops' in line for line in lines)


def test_missing_and_absent_libraries(in_process: Callable[[], list[str]],
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str, found: Callable[[str], str] = metadata.version) -> str:
        if name in ('onedl-mmengine', 'mmengine', 'onedl-mmsegmentation', 'mmsegmentation'):
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr('vit_plugin.doctor.metadata.version', version)
    lines = in_process()
    assert any(line.startswith('mmengine') and 'MISSING' in line for line in lines)
    assert any(line.startswith('mmseg') and line.endswith('not installed') for line in lines)
    assert lines[-1].startswith('Not in order: mmengine')
