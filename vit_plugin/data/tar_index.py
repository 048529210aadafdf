"""Index of the images in a tar shard: name, place, size and label."""
import json
import tarfile
from pathlib import Path

from mmengine.logging import print_log

from vit_plugin.errors import UserError
from vit_plugin.files import written_whole

IMAGES = ('jpg', 'jpeg', 'png', 'webp', 'bmp', 'ppm')
INDEX = '.index.json'
Entry = tuple[str, int, int, int | str]  # name, offset, size, label


def read_index(shard: Path) -> list[Entry]:
    """The images of a shard, from its index file if that is of this very shard.

    Raises:
        UserError: see `build_index`.
    """
    path = shard.with_name(shard.name + INDEX)
    stamp = [shard.stat().st_size, shard.stat().st_mtime_ns]
    if path.exists():
        try:
            stored = json.loads(path.read_text())
        except ValueError:
            stored = dict(stamp=None)
        if stored['stamp'] == stamp:
            return stored['images']
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

    Raises:
        UserError: the shard is truncated, empty or no tar file; or an image has no label
            (``.cls``, a number or a name as text), or a label has no image, or a key comes twice.
    """
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int | str] = {}
    try:
        with tarfile.open(shard, 'r:') as tar:
            for member in tar:
                key, suffix = split_name(member.name)
                if suffix not in (*IMAGES, 'cls'):
                    continue
                if key in (labels if suffix == 'cls' else images):
                    raise UserError(f"the shard '{shard}' has the key '{key}' twice: every image "
                                    'needs a key of its own')
                if suffix == 'cls':
                    labels[key] = read_label(tar.extractfile(member).read())  # type: ignore[union-attr]
                else:
                    images[key] = (member.name, member.offset_data, member.size)
            end = tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"the shard '{shard}' is truncated, compressed or no tar file ({error}): "
                        'copy or write it again, as a plain tar file') from error
    if shard.stat().st_size < end + tarfile.BLOCKSIZE:  # of zeros, which end a tar file
        raise UserError(f"the shard '{shard}' is truncated: it ends without the mark of its end")
    for lonely, message in (
            (images.keys() - labels.keys(), f"{{}} of {len(images)} images of the shard '{shard}' "
             "have no label ('<key>.cls' beside '<key>.jpg')"),
            (labels.keys() - images.keys(), f"{{}} of {len(labels)} labels of the shard '{shard}' "
             f"have no image ('<key>.' with {', '.join(IMAGES)})")):
        if lonely:
            raise UserError(f"{message.format(len(lonely))}; the first key is '{min(lonely)}'")
    if not images:
        raise UserError(f"the shard '{shard}' holds no images: write it again, or remove it")
    return [(*images[key], labels[key]) for key in images]


def split_name(name: str) -> tuple[str, str]:
    """``'folder/key.jpg'`` -> ``('folder/key', 'jpg')``: at the first dot, as webdataset does."""
    folder, slash, name = name.rpartition('/')
    stem, _, suffix = name.partition('.')
    return f'{folder}{slash}{stem}', suffix.lower()


def read_label(content: bytes) -> int | str:
    """A number, or a name."""
    text = content.decode(errors='replace').strip()
    return int(text) if text.lstrip('-').isdecimal() else text
