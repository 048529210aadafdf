"""Photographs and annotations for the load cases of ``vit-plugin benchmark``."""
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

# Photographs that packages bring along.
PHOTOGRAPHS = {'sklearn': ('datasets/images/china.jpg', 'datasets/images/flower.jpg'),
               'skimage': ('data/astronaut.png', 'data/chelsea.png', 'data/coffee.png',
                           'data/motorcycle_left.png', 'data/rocket.jpg')}


def write_photographs(place: Path, number: int, shape: tuple[int, int] = (500, 375),
                      kilobytes: int = 63) -> Path:
    """Make a folder of so many JPEG files from photographs that packages bring along.

    The defaults are common in ImageNet. Grain is added, because the parts are reduced less than
    camera pictures are.

    Raises:
        FileNotFoundError: no package with photographs is installed.
    """
    sources = list(find_photographs())
    if not sources:
        raise FileNotFoundError('no photographs: install scikit-learn or scikit-image, or name a '
                                'folder with --images')
    folder = place / f'photographs-{shape[0]}-{shape[1]}-{number}'
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    for i in range(number):
        with Image.open(sources[i % len(sources)]) as source:
            picture = source.convert('RGB')
        size = np.array(shape)
        if i % 4 == 0:
            size = size[::-1]
        part = size * (np.array(picture.size) / size).min() * generator.uniform(0.6, 1)
        corner = generator.uniform(0, picture.size - part)
        picture = picture.resize(tuple(size), Image.Resampling.LANCZOS,
                                 (*corner, *(corner + part)))
        pixels = np.asarray(picture) + generator.normal(0, 3, (size[1], size[0], 1))
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        for quality in range(97, 0, -1):
            picture.save(folder / f'{i:03}.jpg', quality=quality)
            if (folder / f'{i:03}.jpg').stat().st_size <= 1000 * kilobytes:
                break
    return folder


def find_photographs() -> Iterator[Path]:
    for package, names in PHOTOGRAPHS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            paths = [Path(spec.origin).parent / name for name in names]
            yield from (path for path in paths if path.exists())


def annotate_class(file: Path) -> dict:
    return dict(gt_label=0)


def annotate_regions(folder: Path, file: Path) -> dict:
    """A label map of 8 classes, regions of equal brightness."""
    import cv2
    path = folder / f'{file.stem}.png'
    if not path.exists():
        with Image.open(file) as image:
            brightness = cv2.blur(np.asarray(image.convert('L')), (25, 25))
        Image.fromarray(brightness // 32 + 1).save(path)
    return dict(seg_map_path=str(path), label_map=None, reduce_zero_label=True, seg_fields=[])


def annotate_objects(file: Path) -> dict:
    """Seven objects, as COCO has on average, from 10 to 400 pixels wide; polygons of 24 corners."""
    generator = np.random.default_rng(zlib.crc32(file.name.encode()))
    with Image.open(file) as image:
        size = image.size
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    instances = []
    for _ in range(7):
        radius = np.exp(generator.uniform(*np.log((5, 200)))) * generator.uniform(0.6, 1, (24, 1))
        centre, stretch = generator.uniform(0, size), generator.uniform(0.7, 1.4)
        circle = np.hstack([np.cos(angles) * stretch, np.sin(angles) / stretch])
        points = (centre + radius * circle).clip(0, size).round(2)
        instances.append(dict(bbox=[*points.min(0), *points.max(0)], bbox_label=0, ignore_flag=0,
                              mask=[points.ravel().tolist()]))
    return dict(img_id=0, width=size[0], height=size[1], instances=instances)
