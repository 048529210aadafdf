"""tools/setup.sh on machines that lack something: clear lines, before anything is installed."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Without what `make test-...` itself sets.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name not in ('STACK', 'EXTRAS', 'VENV')}


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
        env={**ENVIRONMENT, 'PATH': path, 'PYTHON': sys._base_executable, **environment})
    assert result.returncode == 1
    assert not (folder / '.venv').exists()
    return result.stderr.splitlines()


def without_pythons(folder: Path) -> None:
    for name in ('python3', 'python3.11', 'python3.12', 'python3.13'):
        stand_in(folder, name, 'exit 1')  # what another version answers to the question


def test_unsuitable_python(bare: Path) -> None:
    without_pythons(bare)
    line, = stopped_by(bare, PYTHON='python3')
    assert 'python3 is no Python 3.12/3.11/3.13' in line
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


def set_up_with(folder: Path, install: str) -> subprocess.CompletedProcess[str]:
    """Set-up with a stand-in for Python, whose uv does ``install``."""
    stand_in(folder, 'python', f"""case "$*" in
        "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
        "-m uv pip"*) {install} ;;
        "-m compileall"*) echo a warning >&2 ;;
        "-m vit_plugin.doctor") echo doctor ;;
    esac""")
    return subprocess.run(
        ['bash', 'tools/setup.sh'], cwd=folder, check=False, capture_output=True, text=True,
        env={**ENVIRONMENT, 'PATH': f'{folder}/bin:{os.environ["PATH"]}',
             'PYTHON': f'{folder}/bin/python', 'CXX': 'sh'})


def test_compile_is_shown(bare: Path) -> None:
    """And goes on being shown: ``find`` fails where uv removes a folder meanwhile."""
    (bare / 'looks').touch()
    stand_in(bare, 'find', f'echo 1.o; echo >> {bare}/looks; exit 1')
    stand_in(bare, 'sleep', f'exec {shutil.which("sleep")} 0.1')
    result = set_up_with(bare, f"""for i in $(seq 100); do
        sleep 0.1; [ "$(wc -l < {bare}/looks)" -lt 3 ] || break; done; echo installed""")
    lines = result.stdout.splitlines()[2:]
    shown = lines.index('installed')
    assert shown >= 2
    assert all(line.startswith("mmcv's ops: 1 of about 80 files") for line in lines[:shown])
    assert lines[shown + 1:] == ['Compiling the Python files of what was installed.', 'doctor']
    assert not result.stderr


def test_failed_installation(bare: Path) -> None:
    result = set_up_with(bare, 'echo hint: --system-certs >&2; exit 2')
    assert result.returncode == 1
    assert 'UV_SYSTEM_CERTS=1 make setup' in result.stderr
