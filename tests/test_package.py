"""What an installation brings: built as a release is, and used without the clone."""
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import ROOT, needs
from tests.docs_clone import TINY

SOURCES = ('vit_plugin', 'configs', 'tools', 'setup.cfg', 'pyproject.toml', 'MANIFEST.in',
           'README.md', 'LICENSE', 'model-index.yml')
NAME = 'swin-tiny_finetune_folder'
# The command, without what takes seconds and is of no use here: yapf, and a list of compilers.
COMMAND = """
import sys, mmengine.runner.runner, vit_plugin
from yapf.yapflib import yapf_api
mmengine.runner.runner.collect_env = dict
yapf_api.FormatCode = lambda text, **_: (text, True)
print(vit_plugin.__file__)
from vit_plugin.cli.main import main
main()
"""


def python(*arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(folder: Path, kind: str) -> Path:
    """Build an sdist or a wheel of the sources in a folder, as pip does."""
    code = f'from setuptools import build_meta; build_meta.build_{kind}("dist")'
    python('-c', code, cwd=folder)
    return next((folder / 'dist').glob('*.whl' if kind == 'wheel' else '*.tar.gz'))


def names(wheel: Path) -> list[str]:
    return sorted(ZipFile(wheel).namelist())


@pytest.fixture(scope='module')
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, since building leaves folders behind."""
    folder = tmp_path_factory.mktemp('clone')
    ignore = shutil.ignore_patterns('__pycache__')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope='module')
def wheel(sources: Path) -> Path:
    return build(sources, 'wheel')


def test_wheel_has_configs_and_commands(wheel: Path) -> None:
    found = names(wheel)
    configs = [path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs').rglob('*')
               if path.suffix in ('.py', '.yml')]
    assert {f'vit_plugin/.mim/{path}' for path in configs} <= set(found)
    assert len(configs) > 100
    assert {'vit_plugin/.mim/model-index.yml', 'vit_plugin/.mim/tools/dist_train.sh',
            'vit_plugin/demo/report.html'} <= set(found)
    assert {name.split('/')[0].split('-')[0] for name in found} == {'vit_plugin'}
    assert b'vit-plugin = vit_plugin.cli.main:main' in ZipFile(wheel).read(
        'vit_plugin-0.1.0.dist-info/entry_points.txt')


def test_sdist_makes_the_same_wheel(sources: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build(sources, 'sdist')) as archive:
        archive.extractall(tmp_path, filter='data')
    unpacked, = tmp_path.iterdir()
    assert names(build(unpacked, 'wheel')) == names(wheel)
    assert not (unpacked / 'tests').exists()


def test_training_by_name_from_an_installation(wheel: Path, image_folder: Path,
                                               tmp_path: Path) -> None:
    needs('mmpretrain')
    site, here = tmp_path / 'site', tmp_path / 'here'
    ZipFile(wheel).extractall(site)
    for split in ('train', 'val'):
        (here / 'data').mkdir(parents=True, exist_ok=True)
        (here / 'data' / split).symlink_to(image_folder)
    output = python(
        '-c', COMMAND, 'train', NAME, '--data-root', 'data', '--cfg-options', *TINY[NAME],
        'model.head.num_classes=2', 'data_preprocessor.num_classes=2',
        cwd=here, PYTHONPATH=str(site), OMP_NUM_THREADS='1')
    assert 'accuracy/top1: ' in output
    assert (here / f'work_dirs/{NAME}/epoch_30.pth').is_file()
    assert output.startswith(f'{site}/vit_plugin/')
