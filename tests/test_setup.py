"""tools/setup.sh on machines that lack something: clear lines, before anything is installed."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone without .venv, and a folder bin/ to put stand-ins for commands into."""
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'bin').mkdir()
    shutil.copy(ROOT / 'tools/setup.sh', tmp_path / 'tools')
    return tmp_path


def stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / 'bin' / name
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)


def stopped_by(folder: Path, **environment: str) -> list[str]:
    """Run set-up, which must stop at once; return its lines on stderr."""
    path = f'{folder}/bin:{os.environ["PATH"]}'
    result = subprocess.run(
        ['bash', 'tools/setup.sh'], cwd=folder, check=False, capture_output=True, text=True,
        env={**os.environ, 'PATH': path, 'PYTHON': sys._base_executable, **environment})
    assert result.returncode == 1
    assert not (folder / '.venv').exists()
    return result.stderr.splitlines()


def without_pythons(folder: Path) -> None:
    for name in ('python3', 'python3.10', 'python3.11', 'python3.12', 'python3.13'):
        stand_in(folder, name, 'exit 1')  # what another version answers to the question


def test_unsuitable_python(bare: Path) -> None:
    without_pythons(bare)
    line, = stopped_by(bare, PYTHON='python3')
    assert 'python3 is no Python 3.12/3.11/3.10/3.13' in line
    line, = stopped_by(bare, PYTHON='python3', STACK='openmmlab')
    assert 'python3 is no Python 3.11' in line


def test_no_suitable_python_and_no_uv(bare: Path) -> None:
    without_pythons(bare)
    assert 'uv could not fetch one' in stopped_by(bare, PYTHON='')[-1]


def test_no_suitable_python(bare: Path) -> None:
    """The one that uv fetches is taken: here a stand-in that cannot make environments."""
    without_pythons(bare)
    stand_in(bare, 'fetched', 'exit 1')
    stand_in(bare, 'uv', f'[ "$4" != find ] || echo {bare}/bin/fetched')
    stand_in(bare, 'python3', '[ "$2" = venv ] && mkdir -p "$3/bin" '
             f'&& cp {bare}/bin/uv "$3/bin/python"')
    fetches, line = stopped_by(bare, PYTHON='')
    assert 'uv fetches 3.12' in fetches
    assert f'{bare}/bin/fetched cannot make virtual environments' in line


def test_no_compiler(bare: Path) -> None:
    line, = stopped_by(bare, CXX='absent-compiler')
    assert 'no C++ compiler' in line


def test_no_disk(bare: Path) -> None:
    stand_in(bare, 'df', 'echo header; echo "disk 100 50 2097152 50% /"')
    line, = stopped_by(bare, CXX='sh')
    assert '2 GB of disk are free' in line
    assert '15 GB are needed' in line


@pytest.mark.parametrize('installs', [True, False])
def test_what_it_prints(bare: Path, installs: bool) -> None:
    """With stand-ins for Python and uv: no compiler's warnings, and a way out of failures."""
    stand_in(bare, 'python', f"""case "$*" in
        "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
        "-m uv pip"*) {'echo installed' if installs else 'echo try --system-certs >&2; exit 2'} ;;
        "-m compileall"*) echo a warning >&2 ;;
        "-m vit_plugin.doctor") echo doctor ;;
    esac""")
    result = subprocess.run(
        ['bash', 'tools/setup.sh'], cwd=bare, check=False, capture_output=True, text=True,
        env={**os.environ, 'PYTHON': f'{bare}/bin/python', 'CXX': 'sh'})
    assert result.returncode == (not installs)
    if installs:
        assert result.stdout.splitlines()[2:] == [
            'installed', 'Compiling the Python files of what was installed.', 'doctor']
        assert not result.stderr
    else:
        assert 'UV_SYSTEM_CERTS=1 make setup' in result.stderr
