"""tools/setup.sh on machines that lack something: one clear line, before anything is installed."""
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


def stopped_by(folder: Path, **environment: str) -> str:
    """Run set-up, which must stop at once with one line on stderr; return that line."""
    path = f'{folder}/bin:{os.environ["PATH"]}'
    result = subprocess.run(
        ['bash', 'tools/setup.sh'], cwd=folder, check=False, capture_output=True, text=True,
        env={**os.environ, 'PATH': path, 'PYTHON': sys._base_executable, **environment})
    assert result.returncode == 1
    assert not (folder / '.venv').exists()
    line, = result.stderr.splitlines()
    return line


def test_no_suitable_python(bare: Path) -> None:
    for name in ('python3', 'python3.10', 'python3.11', 'python3.12', 'python3.13'):
        stand_in(bare, name, 'exit 1')  # what another version answers to the question
    assert 'no Python 3.10, 3.11, 3.12 or 3.13' in stopped_by(bare, PYTHON='python3')


def test_no_compiler(bare: Path) -> None:
    assert 'no C++ compiler' in stopped_by(bare, CXX='absent-compiler')


def test_no_disk(bare: Path) -> None:
    stand_in(bare, 'df', 'echo header; echo "disk 100 50 2097152 50% /"')
    line = stopped_by(bare, CXX='sh')
    assert '2 GB of disk are free' in line
    assert '15 GB are needed' in line
