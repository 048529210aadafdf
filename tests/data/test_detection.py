"""The configs' pipelines for detection against mmdet's own, on the same random numbers."""
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, DefaultScope
from pycocotools import mask as coco_mask

from tests.conftest import ROOT
from tests.data.conftest import picture
from vit_plugin.data.masks import LazyMasks, LoadAnnotations

HEIGHT, WIDTH = 90, 120
CONFIGS = ROOT / 'configs/_base_/detection'


def polygons(generator: np.random.Generator, height: int, width: int) -> list[list[float]]:
    """One to three, some across the border, some without area."""
    found = []
    for _ in range(generator.integers(1, 4)):
        centre = generator.uniform(-5, (width + 5, height + 5))
        points = centre + generator.uniform(-1, 1, (generator.integers(3, 12), 2)) * (
            generator.choice([0.3, 3, 10, 40]))
        if generator.random() < 0.7:
            points = points.clip(0, (width, height))
        found.append(points.round(int(generator.integers(4))).ravel().tolist())
    return found


def instances() -> list[dict]:
    """Objects as `CocoDataset` gives them."""
    generator = np.random.default_rng(0)
    found = []
    for i in range(12):
        mask: Any = polygons(generator, HEIGHT, WIDTH)
        if i == 3:  # a crowd's runs
            mask = coco_mask.frPyObjects(mask, HEIGHT, WIDTH)[0]
            mask['counts'] = mask['counts'].decode()
        if i == 4:
            mask = [[1., 2., 3., 4.]]  # no polygon
        x, y = generator.uniform(0, (WIDTH - 10, HEIGHT - 10))
        found.append(dict(bbox=[x, y, *generator.uniform((x + 1, y + 1), (WIDTH, HEIGHT))],
                          bbox_label=i, ignore_flag=int(i in (3, 5)), mask=mask))
    return found


def build(transforms: list[dict]) -> list:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return [TRANSFORMS.build(transform) for transform in transforms]


def run(pipeline: list, seed: int, path: Path) -> tuple[dict | None, float]:
    """What a pipeline gives, and the random number that follows."""
    np.random.seed(seed)
    results: Any = dict(img_path=str(path), img_id=0, height=HEIGHT, width=WIDTH,
                        instances=instances())
    for transform in pipeline:
        results = results and transform(results)
    return results, np.random.random()


@pytest.mark.parametrize('config', ['coco_instance', 'coco_instance_multi_scale',
                                    'coco_instance_large_scale_jitter', 'coco_detection',
                                    'coco_detection_multi_scale'])
def test_pipelines_equal_stock(config: str, tmp_path: Path) -> None:
    path = tmp_path / 'image.jpg'
    picture(WIDTH, HEIGHT).save(path)
    ours = Config.fromfile(CONFIGS / f'{config}.py').train_pipeline
    names = {name: name.removeprefix('vit_plugin.').removesuffix('WithBoxes')
             for name in ('vit_plugin.LoadAnnotations', 'vit_plugin.RandomFlipWithBoxes',
                          'vit_plugin.PackDetInputs')}
    theirs = [dict(transform, type=names.get(transform.type, transform.type))
              for transform in ours]
    assert theirs != ours
    ours, theirs = build(ours), build(theirs)
    for seed in range(6):
        (found, following), (expected, same) = run(ours, seed, path), run(theirs, seed, path)
        assert following == same
        assert (found is None) == (expected is None)
        if expected is None:
            continue
        assert torch.equal(found['inputs'], expected['inputs'])
        assert found['inputs'].is_contiguous()
        found, expected = found['data_samples'], expected['data_samples']
        assert found.metainfo == expected.metainfo
        for part in ('gt_instances', 'ignored_instances'):
            one, other = found.get(part), expected.get(part)
            assert torch.equal(one.bboxes.tensor, other.bboxes.tensor)
            assert torch.equal(one.labels, other.labels)
            if 'masks' in other:
                assert np.array_equal(pickle.loads(pickle.dumps(one)).masks.masks,
                                      other.masks.masks)


def test_polygons_have_pycocotools_pixels() -> None:
    load, generator = LoadAnnotations(with_mask=True), np.random.default_rng(1)
    for _ in range(500):
        height, width = generator.integers(5, 80, 2)
        mask = [np.array(polygon) for polygon in polygons(generator, height, width)]
        part = load.rasterise(mask, height, width)
        assert np.array_equal(lazy([part], height, width).masks[0],
                              load._poly2mask(mask, height, width))


def lazy(parts: list, height: int, width: int) -> LazyMasks:
    return LazyMasks(parts, np.arange(height, dtype=np.int32), np.arange(width, dtype=np.int32))


@pytest.fixture
def twins() -> tuple[LazyMasks, BitmapMasks]:
    load, generator = LoadAnnotations(with_mask=True), np.random.default_rng(2)
    masks = [[np.array(polygon) for polygon in polygons(generator, 40, 50)] for _ in range(4)]
    return (lazy([load.rasterise(mask, 40, 50) for mask in masks], 40, 50),
            BitmapMasks([load._poly2mask(mask, 40, 50) for mask in masks], 40, 50))


STEPS = [
    lambda masks: masks.flip('horizontal'), lambda masks: masks.flip('vertical'),
    lambda masks: masks.flip('diagonal'), lambda masks: masks.rescale((30, 33)),
    lambda masks: masks.rescale(1.4), lambda masks: masks.resize((31, 77)),
    lambda masks: masks.resize((31, 77), 'bilinear'),
    lambda masks: masks.pad((masks.height + 5, masks.width)),
    lambda masks: masks.pad((masks.height, masks.width + 7), 1),
    lambda masks: masks.crop(np.array([masks.width // 4, masks.height // 3, 33, 999])),
    lambda masks: masks.crop(np.array([0, 0, 0, 0])),
    lambda masks: masks[np.arange(len(masks))[1::-1]],
    lambda masks: masks[np.array([True, False] * 2)[:len(masks)]],
    lambda masks: masks.translate((masks.height, masks.width), 4),
    lambda masks: masks.expand(masks.height + 9, masks.width + 9, 3, 5),
]


def test_masks_equal_bitmaps(twins: tuple[LazyMasks, BitmapMasks]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        found, expected = twins[0][np.arange(4)], twins[1]
        for i in generator.integers(len(STEPS), size=3):
            found, expected = STEPS[i](found), STEPS[i](expected)
        assert (found.height, found.width, len(found)) == (
            expected.height, expected.width, len(expected))
        assert torch.equal(found.get_bboxes('hbox').tensor, expected.get_bboxes('hbox').tensor)
        assert np.array_equal(found.masks, expected.masks)
        assert type(found) is BitmapMasks
    assert type(twins[0]) is LazyMasks  # nothing asked for its pixels


def test_masks_are_small_until_they_are_read(twins: tuple[LazyMasks, BitmapMasks]) -> None:
    large = twins[0].resize((1000, 1000))
    assert len(pickle.dumps(large)) < 20_000
    changed = large[np.array([0])]
    changed.masks[:] = 1  # as mmdet's CopyPaste does
    assert changed.flip('vertical').masks.all()
    changed = large[np.array([0])]
    changed.masks = np.ones_like(changed.masks)
    assert changed.pad((1000, 1001)).masks[..., :-1].all()
    both = large.cat([large[np.array([0])], large[np.array([1])]])
    assert np.array_equal(both.masks, large.masks[:2])
