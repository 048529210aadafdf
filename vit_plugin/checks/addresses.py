"""Addresses in place of images: a data set must not make the machine call any server."""
from collections.abc import Iterable, Sequence

from vit_plugin.errors import shorten

from .findings import Finding


def check_addresses(paths: Iterable[str | None], allowed: Sequence[str], source: str
                    ) -> list[Finding]:
    """Error where a data set names addresses that are not allowed in place of files.

    Args:
        paths: Of images.
        allowed: Beginnings of addresses, whole up to a slash.
        source: The data set, for the message.
    """
    wrong = [repr(path) for path in paths if path and is_address(path)
             and not is_allowed(path, allowed)]
    if not wrong:
        return []
    return [Finding(
        f"{len(wrong)} images of '{source}' are addresses, which make this machine call their "
        f'servers: {shorten(wrong)}. Download the images, or, if you trust the servers, name them: '
        "addresses=['https://<server>/'] of the data set")]


def is_address(path: str) -> bool:
    """True if mmengine's file backends ask another machine for this path."""
    return '://' in path


def is_allowed(address: str, allowed: Sequence[str]) -> bool:
    """True if an address is, or lies below, one of those allowed."""
    return any(f'{address}/'.startswith(f'{start.rstrip("/")}/') for start in allowed)
