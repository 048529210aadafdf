"""Index of the images in a tar shard: name, place, size and label."""
import json
import os
import tarfile
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import NamedTuple

from mmengine.logging import print_log

from vit_plugin.errors import UserError, shorten
from vit_plugin.files import written_whole

IMAGES = ('jpg', 'jpeg', 'png', 'webp', 'bmp', 'ppm')
INDEX = '.index.json'
FORMAT = 2  # of the index files
Entry = tuple[str, int, int, int | str]  # name, offset, size, label


class Place(NamedTuple):
    """A member of a shard, and where its content lies."""

    name: str
    offset: int
    size: int


def read_index(shard: Path) -> list[Entry]:
    """The images of a shard, from its index file if that is of this very shard.

    Raises:
        UserError: see `build_index`.
    """
    path = shard.with_name(shard.name + INDEX)
    stamp = [FORMAT, shard.stat().st_size, shard.stat().st_mtime_ns]
    if path.exists():
        try:
            stored = json.loads(path.read_bytes())
            if stored['stamp'] == stamp:
                return stored['images']
        except (ValueError, KeyError, TypeError):
            pass  # damaged: it is written anew
    images = build_index(shard)
    try:
        with written_whole(path, shared=True) as file:
            file.write(json.dumps(dict(stamp=stamp, images=images)).encode())
    except OSError as error:
        print_log(f"'{path}' cannot be written ({error}); the next run reads '{shard}' again",
                  'current')
    return images


def build_index(shard: Path) -> list[Entry]:
    """Read the names of all members and the content of the labels.

    The key of an image is its name up to the last dot, so that keys may have dots. Images with more
    behind the key of a whole sample (``<key>.mask.png``) are other fields of it to webdataset; they
    are passed over, and counted in the log.

    Raises:
        UserError: the shard is truncated, empty or no tar file; or an image has no label
            (``.cls``, a number or a name as text), or a label has no image, or a key comes twice.
    """
    images: dict[str, Place] = {}
    labels: dict[str, Place] = {}
    for place in list_members(shard):
        key, suffix = split_name(place.name)
        if suffix in IMAGES or suffix == 'cls':
            found = labels if suffix == 'cls' else images
            if key in found:
                raise UserError(f"the shard '{shard}' has the key '{key}' twice: every image needs "
                                'a key of its own')
            found[key] = place
    complete = images.keys() & labels.keys()
    fields = [key for key in images.keys() ^ labels.keys() if first_part(key) in complete]
    if fields:
        print_log(f"'{shard}': {len(fields)} images or labels are passed over, as other fields of "
                  f'a sample: {shorten(sorted(fields))}', 'current')
    require(images.keys() - labels.keys() - {*fields}, len(images),
            f"images of the shard '{shard}' have no label ('<key>.cls' beside '<key>.jpg')")
    require(labels.keys() - images.keys() - {*fields}, len(labels),
            f"labels of the shard '{shard}' have no image ('<key>.' with {', '.join(IMAGES)})")
    if not complete:
        raise UserError(f"the shard '{shard}' holds no images: write it again, or remove it")
    with open(shard, 'rb') as file:
        return [(*images[key], read_label(os.pread(file.fileno(), labels[key].size,
                                                   labels[key].offset)))
                for key in images if key in complete]


def require(lonely: set[str], count: int, message: str) -> None:
    """Raise `UserError` if there are images without labels, or labels without images."""
    if lonely:
        raise UserError(f"{len(lonely)} of {count} {message}; the first key is '{min(lonely)}'")


def list_members(shard: Path) -> list[Place]:
    """The files in a shard, links with the place of what they lead to.

    Raises:
        UserError: the shard is truncated, compressed or no tar file, or has a link that leads to
            none of its files, or a sparse file.
    """
    places: list[Place] = []
    links: dict[str, str] = {}
    try:
        with tarfile.open(shard, 'r:') as tar:
            for member in tar:
                name = normpath(member.name)
                if member.issparse():
                    raise UserError(f"'{name}' in the shard '{shard}' is stored with holes: write "
                                    'the shard again without --sparse')
                if member.isfile():
                    places.append(Place(name, member.offset_data, member.size))
                elif member.islnk():
                    links[name] = normpath(member.linkname)
                elif member.issym():
                    links[name] = normpath(join(dirname(name), member.linkname))
            end = tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"the shard '{shard}' is truncated, compressed or no tar file ({error}): "
                        'copy or write it again, as a plain tar file') from error
    if shard.stat().st_size < end + tarfile.BLOCKSIZE:  # of zeros, which end a tar file
        raise UserError(f"the shard '{shard}' is truncated: it ends without the mark of its end")
    files = {place.name: place for place in places}
    for name in links:
        target, passed = links[name], {name}
        while target in links and target not in passed:  # links may lead to links
            passed.add(target)
            target = links[target]
        if target in files:
            places.append(files[target]._replace(name=name))
        elif split_name(name)[1] in (*IMAGES, 'cls'):
            raise UserError(f"'{name}' in the shard '{shard}' is a link to '{target}', which is no "
                            'file in it: write the shard again with the file itself')
    return places


def split_name(name: str) -> tuple[str, str]:
    """``'folder/my.key.JPG'`` -> ``('folder/my.key', 'jpg')``; hidden files have no ending."""
    folder, slash, name = name.rpartition('/')
    stem, _, suffix = name.rpartition('.')
    if not stem or stem.startswith('.'):
        return f'{folder}{slash}{name}', ''
    return f'{folder}{slash}{stem}', suffix.lower()


def first_part(key: str) -> str:
    """The key up to the first dot of its name, which is webdataset's."""
    folder, slash, name = key.rpartition('/')
    return f'{folder}{slash}{name.partition(".")[0]}'


def read_label(content: bytes) -> int | str:
    """A number, or a name."""
    text = content.decode(errors='replace').strip()
    return int(text) if text.removeprefix('-').isdecimal() else text
