"""Files that would take far more memory than their size, told before they are read."""
import math
import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import CheckpointError

FACTOR = 16  # real weights are hardly compressible, and torch does not compress them
FREE_BYTES = 2**26
FREE_ITEMS = 2**20  # of sets, up to 100 bytes each
ZIP_START = b'PK\x03\x04'
LEGACY_PICKLES = 5  # at the start of torch's files before zip archives


def check_expansion(file: Path) -> None:
    """Look at a file of torch before it is read.

    Raises:
        UserError: the members of the archive are far larger than the file, or the calls in its
            pickle make far more than the pickle holds.
    """
    size = file.stat().st_size
    with file.open('rb') as opened:
        is_zip = opened.read(len(ZIP_START)) == ZIP_START
        opened.seek(0)
        if not is_zip:
            for _ in range(LEGACY_PICKLES):
                check_pickle(opened, size)
    if is_zip:
        with zipfile.ZipFile(file) as archive:
            check_archive(archive, size)


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise `UserError` if what is in an archive is far larger than the archive, or a pickle is."""
    expanded = sum(member.file_size for member in archive.infolist())
    if expanded > FACTOR * size + FREE_BYTES:
        raise CheckpointError(f'its {size:,} bytes expand to {expanded:,}, as no weights do')
    for member in archive.infolist():
        if member.filename.endswith('data.pkl'):
            with archive.open(member) as stream:
                check_pickle(stream, member.file_size)


def check_pickle(stream: IO[bytes], size: int) -> None:
    """Raise `UserError` if the calls in a pickle make far more items than it has bytes."""
    made = 0.
    for count in count_made(stream):
        made += count
        if made > FACTOR * size + FREE_ITEMS:
            raise CheckpointError(f'the calls in its pickle of {size:,} bytes make {made:,.0f} '
                                  'items or more, as no weights do')


@dataclass
class Item:
    """An object on the stack of the unpickler, known by its size alone."""

    length: float = 0  # of a text, a list ...
    number: float = 0  # an integer, or the product of those in a tuple
    name: str = ''  # of a class or function
    parts: list['Item'] | None = None  # of a tuple


def count_made(stream: IO[bytes]) -> Iterator[float]:
    """For each call in a pickle, the most items that it makes of its arguments; calls nothing."""
    stack: list[Item] = []
    marks: list[int] = []
    memo: dict[object, Item] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name == 'MARK':
            marks.append(len(stack))
        elif name.endswith('PUT'):
            memo[argument] = stack[-1]
        elif name == 'MEMOIZE':
            memo[len(memo)] = stack[-1]
        elif name.endswith('GET'):
            stack.append(memo[argument])
        else:
            taken = take(stack, marks, opcode)
            if name in ('REDUCE', 'NEWOBJ'):
                made, result = call(*taken)
                yield made
                stack.append(result)
            elif name in ('APPEND', 'APPENDS', 'SETITEM', 'SETITEMS'):
                taken[0].length += len(taken) - 1
                stack.append(taken[0])
            elif name == 'BUILD':
                yield taken[1].length + sum(part.length for part in taken[1].parts or ())
                stack.append(taken[0])
            elif opcode.stack_after:
                stack.append(describe(name, argument, taken))


def take(stack: list[Item], marks: list[int], opcode: pickletools.OpcodeInfo) -> list[Item]:
    """Take from the stack what an opcode takes, from the last mark on if it does so."""
    kinds = opcode.stack_before
    start = len(stack) - len(kinds)
    if pickletools.markobject in kinds:
        start = marks.pop() - kinds.index(pickletools.markobject)
    taken = stack[start:]
    del stack[start:]
    return taken


def call(function: Item, arguments: Item) -> tuple[float, Item]:
    """The most items that a call makes, and its result."""
    if arguments.parts is None:
        raise CheckpointError('a call in its pickle has arguments that are no tuple')
    length = sum(part.length for part in arguments.parts)
    number = sum(part.number for part in arguments.parts)
    if function.name.startswith('torch.'):  # tensors: of a storage, or of memory never written to
        return length, Item(number=number)
    return length + number, Item(length=2 * length + number)


def describe(opcode: str, argument: int | str | bytes | None, taken: list[Item]) -> Item:
    """The item that an opcode pushes: a name, number, text, or container of what it has taken."""
    if isinstance(argument, int):
        return Item(number=abs(float(argument)))
    if opcode == 'GLOBAL' and isinstance(argument, str):
        return Item(name=argument.replace(' ', '.'))
    if isinstance(argument, (str, bytes)):
        return Item(length=len(argument))
    if 'TUPLE' in opcode:
        numbers = [part.number for part in taken if part.number]
        return Item(length=len(taken), number=math.prod(numbers), parts=taken)
    return Item(length=len(taken))
