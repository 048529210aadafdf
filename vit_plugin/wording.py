"""How messages word what they list."""
from collections.abc import Callable, Iterable
from difflib import get_close_matches

# The extras of setup.cfg that bring what not every toolkit does.
EXTRAS = {'mmpretrain': 'mmpretrain', 'mmdet': 'mmdet', 'mmseg': 'mmseg', 'mlxtend': 'demo',
          'transformers': 'mmpretrain', 'datasets': 'huggingface'}


def missing_library(error: ModuleNotFoundError) -> str:
    """What is not installed, and what brings it, without the full stop."""
    library = (error.name or '').split('.')[0]
    extra = EXTRAS.get(library)
    advice = (f"pip install 'vit-plugin[{extra}]'" if extra else "every toolkit brings it, e.g. "
              "pip install 'vit-plugin[mmpretrain]' (or mmdet, mmseg)")
    return (f'{library} is needed and not installed: {advice}. `vit-plugin doctor` shows what is '
            'installed')


def shorten(names: Iterable[str], count: int = 5, separator: str = ', ') -> str:
    """The first names and how many there are."""
    names = list(names)
    more = f' ... ({len(names)} in all)' if len(names) > count else ''
    return separator.join(names[:count]) + more


def count_passed_over(files: list[str]) -> str:
    """How many files are not read, and which."""
    count = f'{len(files)} files are' if len(files) > 1 else '1 file is'
    return f'{count} passed over: {shorten(files)}'


def did_you_mean(wrong: str, known: Iterable[str], key: Callable[[str], str] = str.lower) -> str:
    """The names that come close (compared by ``key``), as the end of a message."""
    names = sorted(set(known))
    near = get_close_matches(key(wrong), {key(name) for name in names})
    found = [name for close in near for name in names if key(name) == close][:3]
    return '. Did you mean ' + ' or '.join(f"'{name}'" for name in found) + '?' if found else ''
