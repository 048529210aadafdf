"""The command in a process of its own that, unlike a fresh Python, need not import the toolkits."""
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from typing import IO

import torch

from vit_plugin.cli import main

# CUDA does not work in a fork of a process that has used it.
STDOUT = -2  # as subprocess's; stderr goes there always
CONTEXT = get_context('spawn' if torch.cuda.is_available() else 'fork')


class Popen:
    """``python -m vit_plugin ...``, with the interface of `subprocess.Popen`.

    Args:
        command: ``[sys.executable, '-m', 'vit_plugin', ...]``.
        stdout: A file for the output.
        env: The environment's variables.
        before: A function, of a module, that is called before the command.
    """

    def __init__(self, command: Sequence[str], stdout: IO, env: Mapping[str, str] = os.environ,
                 before: Callable[[], None] | None = None, **_: object) -> None:
        assert command[:3] == [sys.executable, '-m', 'vit_plugin']
        self.process = CONTEXT.Process(
            target=_run, args=(list(command[2:]), stdout.name, dict(env), before))
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        assert self.process.exitcode is not None, 'it still runs'
        return self.process.exitcode

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


def _run(arguments: list[str], log: str, environment: dict[str, str],
         before: Callable[[], None] | None) -> None:
    os.environ.update(environment)
    sys.stdout = sys.stderr = open(log, 'a', buffering=1)  # noqa: SIM115
    for number in (1, 2):
        os.dup2(sys.stdout.fileno(), number)
    sys.argv = arguments
    if before is not None:
        before()
    sys.exit(main.main())
