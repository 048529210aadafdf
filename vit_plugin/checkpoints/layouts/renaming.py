"""Renaming keys by a table that works both ways."""
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

V = TypeVar('V')
Pairs = Iterable[tuple[str, str]]


def rename(weights: Mapping[str, V], pairs: Pairs) -> dict[str, V]:
    """Replace the start of each key by the first pair (old, new) that matches it.

    ``{i}`` and ``{j}`` stand for numbers. Keys that no pair matches are kept.
    """
    patterns = []
    for old, new in pairs:
        numbers = re.sub(r'\\{(\w)\\}', r'(?P<\1>\\d+)', re.escape(old))
        patterns.append((re.compile(numbers), new))
    renamed = {}
    for key, value in weights.items():
        for pattern, new in patterns:
            if match := pattern.match(key):
                key = new.format(**match.groupdict()) + key[match.end():]
                break
        renamed[key] = value
    return renamed


def swapped(pairs: Pairs) -> list[tuple[str, str]]:
    """The pairs (new, old), for the way back."""
    return [(new, old) for old, new in pairs]
