"""How messages word what they list."""
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import metadata

# Library -> the extra of setup.cfg that brings it. Every toolkit brings the first three.
EXTRAS = {'cv2': 'mmpretrain', 'mmcv': 'mmpretrain', 'torchvision': 'mmpretrain',
          'mmengine': 'mmengine', 'mmpretrain': 'mmpretrain', 'mmdet': 'mmdet', 'mmseg': 'mmseg',
          'transformers': 'mmpretrain', 'datasets': 'huggingface', 'mlxtend': 'demo',
          'pytorch_grad_cam': 'demo', 'matplotlib': 'demo'}


def missing_library(error: ModuleNotFoundError) -> str | None:
    """That a library is not installed, and what brings it, without the full stop.

    None for a module of an installed library, and for one that the plugin does not know.
    """
    if error.name not in EXTRAS:
        return None
    return f'{error.name} is needed and not installed: {how_to_install(EXTRAS[error.name])}'


def how_to_install(extra: str) -> str:
    """The command that brings an extra of setup.cfg, without the full stop.

    OpenMMLab's libraries exist in two distributions, of which the one that is there is named.
    """
    doctor = '. `vit-plugin doctor` shows what is installed'
    maintained = f"pip install 'vit-plugin[{extra}]'"
    original = "pip install 'vit-plugin[openmmlab]'"
    if extra in ('demo', 'huggingface') or is_installed('onedl-mmengine'):
        return maintained + doctor
    if is_installed('mmengine') or is_installed('mmengine-lite'):
        return f"{original} (OpenMMLab's own releases, as mmengine is here){doctor}"
    return f"{maintained} (the maintained distribution) or {original} (OpenMMLab's own){doctor}"


def is_installed(distribution: str) -> bool:
    """Whether pip knows it."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def shorten(names: Iterable[str], count: int = 5, separator: str = ', ') -> str:
    """The first names and how many there are."""
    names = list(names)
    more = f' ... ({len(names)} in all)' if len(names) > count else ''
    return separator.join(names[:count]) + more


def count_passed_over(files: list[str], broken: list[str]) -> str:
    """How many files and broken links are not read, and which."""
    names = [*files, *(f'{link} (broken link)' for link in broken)]
    count = f'{len(names)} files are' if len(names) > 1 else '1 file is'
    return f'{count} passed over: {shorten(names)}'


def did_you_mean(wrong: str, known: Iterable[str], key: Callable[[str], str] = str.lower) -> str:
    """The names that come close (compared by ``key``), as the end of a message."""
    names = sorted(set(known))
    near = get_close_matches(key(wrong), {key(name) for name in names})
    found = [name for close in near for name in names if key(name) == close][:3]
    return '. Did you mean ' + ' or '.join(f"'{name}'" for name in found) + '?' if found else ''
