"""How messages word what they list."""
from collections.abc import Iterable


def shorten(names: Iterable[str], count: int = 5) -> str:
    """The first names and how many there are."""
    names = list(names)
    more = f' ... ({len(names)} in all)' if len(names) > count else ''
    return ', '.join(names[:count]) + more


def count_passed_over(files: list[str]) -> str:
    """How many files are not read, and which."""
    count = f'{len(files)} files are' if len(files) > 1 else '1 file is'
    return f'{count} passed over: {shorten(files)}'
