"""Where the images of a tar shard lie."""
import json
import os
import tarfile
from pathlib import Path

from mmengine.logging import print_log

from vit_plugin.errors import UserError

IMAGES = ('jpg', 'jpeg', 'png', 'webp', 'bmp', 'ppm')
Entry = tuple[str, int, int, int]  # name, offset, size, label


def read_index(shard: Path) -> list[Entry]:
    """The images of a shard, from its index file if that is of this very shard.

    Raises:
        ValueError: see `build_index`.
    """
    path = shard.with_name(f'{shard.name}.index.json')
    stamp = [shard.stat().st_size, shard.stat().st_mtime_ns]
    if path.exists():
        try:
            stored = json.loads(path.read_text())
        except ValueError:
            stored = dict(stamp=None)
        if stored['stamp'] == stamp:
            return stored['images']
    images = build_index(shard)
    temporary = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        temporary.write_text(json.dumps(dict(stamp=stamp, images=images)))
        temporary.replace(path)
    except OSError as error:
        print_log(f"'{path}' cannot be written ({error}); the next run reads '{shard}' again",
                  'current')
    return images


def build_index(shard: Path) -> list[Entry]:
    """Read the names of all members and the content of the labels.

    Raises:
        ValueError: the shard is truncated or no tar file; or an image has no label (``.cls``, a
            number as text), or a label has no image.
    """
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(shard, 'r:') as tar:
            for member in tar:
                folder, _, name = member.name.rpartition('/')
                stem, _, suffix = name.partition('.')
                key = f'{folder}/{stem}'
                if suffix.lower() in IMAGES:
                    images[key] = (member.name, member.offset_data, member.size)
                elif suffix == 'cls':
                    labels[key] = int(tar.extractfile(member).read())  # type: ignore[union-attr]
            end = tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"the shard '{shard}' is truncated or no tar file ({error})") from error
    except ValueError as error:
        raise UserError(f"a label of the shard '{shard}' is no number: '{member.name}'") from error
    if shard.stat().st_size < end + tarfile.BLOCKSIZE:  # of zeros, which end a tar file
        raise UserError(f"the shard '{shard}' is truncated: it ends without the mark of its end")
    unmatched = sorted(images.keys() ^ labels.keys())
    if unmatched:
        raise UserError(f"{len(unmatched)} of {len(images)} images of the shard '{shard}' have no "
                        f"label ('.cls'), or labels no image; the first is '{unmatched[0]}'")
    return [(*images[key], labels[key]) for key in images]
