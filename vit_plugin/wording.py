"""How messages word what they list."""
from collections.abc import Iterable


def shorten(names: Iterable[str], count: int = 5) -> str:
    """The first names and how many there are."""
    names = list(names)
    more = f' ... ({len(names)} in all)' if len(names) > count else ''
    return ', '.join(names[:count]) + more
