"""Files that are read and written."""
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vit_plugin.errors import UserError


def visible_files(folder: str | Path) -> list[str]:
    """All files below a folder whose names do not begin with a dot, relative to it."""
    return sorted(os.path.relpath(os.path.join(place, name), folder)
                  for place, _, names in os.walk(folder, followlinks=True)
                  for name in names if not name.startswith('.'))


def check_new(path: str | Path) -> None:
    """Raise `UserError` if there is a file, a folder or a link under a name to write to."""
    if os.path.lexists(path):
        raise UserError(f"'{path}' is there already: choose another name, or delete it")


@contextmanager
def written_whole(path: str | Path, shared: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which appears under its name when it is complete and on the disk.

    Until then it is ``<path>.part``, which an error removes; a kill leaves it, and what was under
    the name before is still there.

    Args:
        path: Name of the file.
        shared: Whether several processes, perhaps on several nodes, write it at the same time.
    """
    part = Path(f'{path}.{socket.gethostname()}.{os.getpid()}.part' if shared else f'{path}.part')
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(part, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:  # a full disk must not stay full
        part.unlink(missing_ok=True)
        raise
