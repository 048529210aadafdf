"""``python -m vit_plugin.doctor`` on whole and on broken installations."""
import subprocess
import sys

from tests.test_registry import BLOCK

RUN = "import runpy\nrunpy.run_module('vit_plugin.doctor', run_name='__main__')"


def doctor(prelude: str = '') -> tuple[int, list[str]]:
    """Exit status and lines of a doctor in a process of its own."""
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', prelude + RUN],
                            check=False, capture_output=True, text=True)
    return result.returncode, result.stdout.splitlines()


def test_whole_stack() -> None:
    status, lines = doctor()
    assert status == 0, lines
    for library in ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmcv.ops', 'mmpretrain',
                    'mmdet', 'mmseg', 'transformers'):
        row, = (line for line in lines if line.split()[:1] == [library])
        assert row.endswith('ok')


def test_ops_built_for_another_torch() -> None:
    status, lines = doctor(BLOCK.replace("name.split('.')[0] in {blocked}", "name == 'mmcv._ext'")
                           .format())
    assert status == 1
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
    status, lines = doctor(hide.format(hidden=('onedl-mmengine', 'onedl-mmsegmentation')))
    assert status == 1
    assert any(line.startswith('mmengine') and 'MISSING' in line for line in lines)
    assert any(line.startswith('mmseg') and line.endswith('not installed') for line in lines)
    assert lines[-1].startswith('Not in order: mmengine')
