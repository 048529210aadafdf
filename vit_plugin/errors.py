"""The error for mistakes in configs, data and arguments, and how messages list names."""
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """The message says what is wrong, the value seen, and what would be right.

    The commands print the message alone, without a traceback.
    """


def shorten(names: Iterable[str], count: int = 5, separator: str = ', ') -> str:
    """The first names and how many there are."""
    names = list(names)
    more = f' ... ({len(names)} in all)' if len(names) > count else ''
    return separator.join(names[:count]) + more


def count_passed_over(names: list[str]) -> str:
    """Count and names of the files that are not read."""
    count = f'{len(names)} files are' if len(names) > 1 else '1 file is'
    return f'{count} passed over: {shorten(names)}'


def did_you_mean(wrong: str, known: Iterable[str], key: Callable[[str], str] = str.lower) -> str:
    """The names that come close (compared by ``key``), as the end of a message."""
    names = sorted(set(known))
    near = get_close_matches(key(wrong), {key(name) for name in names})
    found = [name for close in near for name in names if key(name) == close][:3]
    return '. Did you mean ' + ' or '.join(f"'{name}'" for name in found) + '?' if found else ''
