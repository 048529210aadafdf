"""How messages word what they list."""
from collections.abc import Callable, Iterable
from difflib import get_close_matches

# Library -> the extra of setup.cfg that brings it.
EXTRAS = {'mmpretrain': 'mmpretrain', 'mmdet': 'mmdet', 'mmseg': 'mmseg', 'mlxtend': 'demo',
          'transformers': 'mmpretrain', 'datasets': 'huggingface'}
EVERY_TOOLKIT_BRINGS = ('cv2', 'mmcv')


def missing_library(error: ModuleNotFoundError) -> str | None:
    """That a library is not installed, and what brings it, without the full stop.

    None for a module of an installed library, and for one that the plugin does not know.
    """
    if error.name in EXTRAS:
        advice = f"pip install 'vit-plugin[{EXTRAS[error.name]}]'"
    elif error.name in EVERY_TOOLKIT_BRINGS:
        advice = ("every toolkit brings it, e.g. pip install 'vit-plugin[mmpretrain]' (or mmdet, "
                  'mmseg)')
    else:
        return None
    return (f'{error.name} is needed and not installed: {advice}. `vit-plugin doctor` shows what '
            'is installed')


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
