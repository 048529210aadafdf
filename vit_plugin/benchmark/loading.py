"""The pipelines that ``vit-plugin benchmark`` compares: from files to what a batch is made of.

Each step prepares all images once, on one core. All pipelines of a recipe draw from the same
distributions; which random numbers they get differs.
"""
import random
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vit_plugin.files import CONFIGS

from .photographs import annotate_class, annotate_objects, annotate_regions, write_photographs

Pipeline = Callable[[Path], Any]
RAND_AUGMENT = 'rand-m9-mstd0.5-inc1'
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def steps(recipe: str, size: int, number: int, store: Path, folder: Path | None = None
          ) -> dict[str, Callable[[], None]]:
    """Steps to measure, by title, for so many images.

    Args:
        recipe: A name in `RECIPES`.
        size: Of the images that come out.
        number: Of images.
        store: Where photographs are written, if no folder is given.
        folder: Of image files.

    Raises:
        LookupError: there is no such recipe.
    """
    if recipe not in RECIPES:
        raise LookupError(f"no recipe '{recipe}': there are {', '.join(RECIPES)}")
    import cv2
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    folder = folder or write_photographs(store, number, *FILES.get(recipe.split('-')[0], ()))
    files = sorted(file for file in folder.iterdir() if file.is_file())[:number]
    found: dict[str, Callable[[], None]] = {}
    for title, build in RECIPES[recipe].items():
        try:
            found[title] = partial(prepare, build(size), files)
        except ImportError as error:
            print(f'  without {title}: {error}')
    return found


def prepare(pipeline: Pipeline, files: list[Path]) -> None:
    for file in files:
        pipeline(file)


def openmmlab(scope: str, transforms: list[Any], annotate: Callable[[Path], dict],
              seeded: bool) -> Pipeline:
    """A pipeline of configs, as a data set calls it; ours seeds each sample."""
    from mmengine.registry import TRANSFORMS, DefaultScope

    from vit_plugin.toolkits import import_toolkit
    from vit_plugin.training.sampling import seed_generators
    import_toolkit(f'{scope}.datasets')
    with DefaultScope.overwrite_default_scope(scope):
        built = [TRANSFORMS.build(transform) for transform in transforms]
    draws = count()

    def pipeline(file: Path) -> Any:
        if seeded:
            seed_generators(0, 0, next(draws), devices=False)
        results = dict(annotate(file), img_path=str(file))
        for transform in built:
            results = transform(results)
            if results is None:  # nothing is left in the crop; a data set then takes another
                break
        return results
    return pipeline


def imagenet(size: int) -> list[dict]:
    """The pipeline of the plugin's ImageNet configs."""
    from mmengine.config import Config
    pipeline = Config.fromfile(CONFIGS / '_base_/datasets/imagenet_224.py').train_pipeline
    pipeline[0].scale = size
    return pipeline


def plugin_imagenet(size: int) -> Pipeline:
    return openmmlab('mmpretrain', imagenet(size), annotate_class, seeded=True)


def mmpretrain_imagenet(size: int, decoder: str = 'cv2') -> Pipeline:
    """Its Swin config's pipeline; the papers' code decodes with Pillow."""
    augment = [dict(transform, type=transform['type'].removeprefix('vit_plugin.'))
               for transform in imagenet(size)[1:]]
    load: list[dict] = [
        dict(type='LoadImageFromFile', imdecode_backend=decoder),
        dict(type='RandomResizedCrop', scale=size, backend='pillow', interpolation='bicubic')]
    return openmmlab('mmpretrain', load + augment, annotate_class, seeded=False)


def timm_imagenet(size: int, prefetcher: bool = False) -> Pipeline:
    """timm's transforms as DeiT's code calls them, or as timm's loader, which ends on the GPU."""
    from timm.data import create_transform
    options: dict[str, Any] = dict(use_prefetcher=True)
    if not prefetcher:
        options = dict(re_prob=0.25, re_mode='pixel')
    transform = create_transform(size, is_training=True, auto_augment=RAND_AUGMENT,
                                 interpolation='bicubic', **options)

    def pipeline(file: Path) -> Any:
        while True:
            try:
                return transform(Image.open(file).convert('RGB'))
            except ValueError as error:  # Pillow 13 refuses 0 bits, which timm 1.0 may draw
                if 'bits must be' not in str(error):
                    raise
    return pipeline


def torchvision_imagenet(size: int) -> Pipeline:
    """Its classification reference's transforms, on tensors."""
    from torchvision.io import ImageReadMode, decode_image, read_file
    from torchvision.transforms import v2
    transform = v2.Compose([
        v2.RandomResizedCrop(size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandAugment(2, 9, interpolation=v2.InterpolationMode.BILINEAR),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
        v2.RandomErasing(0.25, (0.02, 1 / 3), value='random')])
    return lambda file: transform(decode_image(read_file(str(file)), ImageReadMode.RGB))


def segmentation(size: int, plugin: bool) -> Pipeline:
    """The pipeline of the ADE20K configs, or mmseg's, with crops of another size."""
    from mmengine.config import Config
    pipeline = Config.fromfile(CONFIGS / '_base_/segmentation/ade20k_512x512.py').train_pipeline
    pipeline[3].scale, pipeline[4].crop_size = (4 * size, size), (size, size)
    if not plugin:
        names = {'vit_plugin.RandomCropWithLabels': 'RandomCrop'}
        pipeline = [dict(transform, type=names.get(
            transform.type, transform.type.removeprefix('vit_plugin.')))
            for transform in pipeline if transform.type != 'vit_plugin.CheckLabels']
    folder = tempfile.TemporaryDirectory()
    run = openmmlab('mmseg', pipeline, partial(annotate_regions, Path(folder.name)), plugin)
    run.folder = folder  # type: ignore[attr-defined]  # which is removed with the pipeline
    return run


def detection(size: int, config: str, full_size: int, plugin: bool) -> Pipeline:
    """The pipeline of COCO configs, or mmdet's, with all sizes in proportion; the same draws."""
    from mmengine.config import Config
    pipeline = Config.fromfile(CONFIGS / f'_base_/detection/{config}.py').train_pipeline
    pipeline = [scaled(transform, size / full_size) for transform in pipeline]
    if not plugin:
        pipeline = [dict(transform, type=transform['type'].removeprefix('vit_plugin.')
                         .removesuffix('WithBoxes'))
                    for transform in pipeline if transform['type'] != 'vit_plugin.CheckMasks']
    run = openmmlab('mmdet', pipeline, annotate_objects, seeded=True)

    def with_bitmaps(file: Path) -> Any:
        results = run(file)
        if results is not None:
            results['data_samples'].gt_instances.masks.to_ndarray()
        return results
    return with_bitmaps


def scaled(value: Any, ratio: float) -> Any:
    """Settings with their sizes, which are the integers, multiplied."""
    if isinstance(value, dict):
        return {key: setting if key == 'pad_val' else scaled(setting, ratio)
                for key, setting in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(scaled(part, ratio) for part in value)
    return round(value * ratio) if type(value) is int else value


# The files that a recipe is timed with: width and height, and kilobytes.
FILES = {'coco': ((640, 480), 160)}
COCO = {'coco': ('coco_instance', 800), 'coco-multi-scale': ('coco_instance_multi_scale', 800),
        'coco-jitter': ('coco_instance_large_scale_jitter', 1024)}
RECIPES: dict[str, dict[str, Callable[[int], Pipeline]]] = {
    'imagenet': {
        'plugin': plugin_imagenet, 'mmpretrain': mmpretrain_imagenet,
        'mmpretrain Pillow': partial(mmpretrain_imagenet, decoder='pillow'),
        'timm': timm_imagenet, 'timm prefetcher': partial(timm_imagenet, prefetcher=True),
        'torchvision v2': torchvision_imagenet},
    'ade20k': {'plugin': partial(segmentation, plugin=True),
               'mmseg': partial(segmentation, plugin=False)},
    **{recipe: {'plugin': partial(detection, config=config, full_size=size, plugin=True),
                'mmdet': partial(detection, config=config, full_size=size, plugin=False)}
       for recipe, (config, size) in COCO.items()},
}
