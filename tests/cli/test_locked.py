"""Two trainings do not write to one work dir."""
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.tool_runs import Run

HOLD = """
import sys
from vit_plugin.cli.launch import locked
with locked(sys.argv[1]):
    print('locked', flush=True)
    sys.stdin.read()
"""


def test_another_training(config: Path, work: Path, stopped: Run,
                          tool: Callable[..., None]) -> None:
    """Refused while it lives; a kill leaves no lock behind."""
    with subprocess.Popen([sys.executable, '-c', HOLD, str(work)], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert 'locked' in other.stdout.readline()
        said = stopped('train', config, '--work-dir', work)
        assert f"another training writes to the work dir '{work}'" in said
        assert not list(work.glob('*.pth'))
        other.kill()
    tool('train', config, '--work-dir', work)
    assert (work / 'epoch_2.pth').is_file()
