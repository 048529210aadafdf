"""Files that are read and written."""
import errno
import os
import shutil
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zipfile import BadZipFile, ZipFile

from vit_plugin.errors import UserError

# The plugin's configs, in a clone as in an installation.
CONFIGS = Path(__file__).parent / '.mim/configs'


class Listing(NamedTuple):
    """Paths below a folder, relative to it."""

    files: list[str]
    odd: list[str]  # links that lead nowhere or in a circle, pipes, devices, with what they are
    hidden: list[str]  # folders whose names begin with a dot; what is in them is not listed


def list_files(folder: str | Path) -> Listing:
    """All that is below a folder, but for files whose names begin with a dot."""
    found = Listing([], [], [])
    places: list[tuple[str, tuple[os.stat_result, ...]]] = [('', ())]  # with the folders above
    while places:
        place, above = places.pop()
        here = os.stat(os.path.join(folder, place))
        if any(os.path.samestat(here, other) for other in above):
            found.odd.append(f'{place} (link in a circle)')
            continue
        with os.scandir(os.path.join(folder, place)) as entries:
            for entry in entries:
                path, is_hidden = os.path.join(place, entry.name), entry.name.startswith('.')
                kind = kind_of(entry)
                if kind == 'folder' and is_hidden:
                    found.hidden.append(path)
                elif kind == 'folder':
                    places.append((path, (*above, here)))
                elif kind == 'file' and not is_hidden:
                    found.files.append(path)
                elif not is_hidden:
                    found.odd.append(f'{path} ({kind})')
    return Listing(*map(sorted, found))


def kind_of(entry: os.DirEntry) -> str:
    """``'folder'``, ``'file'``, or what else an entry is; asks the disk for links alone."""
    try:
        if entry.is_dir():
            return 'folder'
        if entry.is_file():
            return 'file'
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return 'link in a circle'
    return 'broken link' if entry.is_symlink() else 'no file'


def missing_files(paths: Collection[str]) -> list[str]:
    """Those of many paths that are no files on the disk; lists a folder at a time."""
    folders = {os.path.dirname(path) for path in paths}
    there = set()
    for folder in filter(os.path.isdir, folders):
        there |= {entry.path for entry in os.scandir(folder) if kind_of(entry) == 'file'}
    # Listing is fast; what it misses may only be written in another way ('a//b', 'a/../b'). A pipe
    # is no file: it would be waited for.
    return [path for path in paths if path not in there and not os.path.isfile(path)]


def is_whole_archive(path: str | Path) -> bool:
    """True if the checksums of a zip archive, as torch writes checkpoints, are right."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except BadZipFile:
        return False


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
    mark = f'.{socket.gethostname()}.{os.getpid()}' if shared else ''
    part = Path(f'{path}{mark}.part')
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


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, which appears under its name when it is complete."""
    part = folder.with_name(f'{folder.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    part.rename(folder)
