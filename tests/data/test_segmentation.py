"""Crops, colours and packing for segmentation against mmseg's, on the same random numbers."""
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmseg.datasets import transforms as stock

from tests.data.conftest import picture
from vit_plugin.data import segmentation

IMAGE = np.asarray(picture(112, 96))[..., ::-1].copy()
LABELS = np.random.default_rng(0).integers(0, 3, (6, 7)).astype(np.uint8)
LABELS = LABELS.repeat(16, 0).repeat(16, 1)
LABELS[:30, :40] = 255


def run(transform: Callable, seed: int, labels: np.ndarray = LABELS) -> tuple[dict, float]:
    np.random.seed(seed)
    results = transform(dict(img=IMAGE.copy(), gt_seg_map=labels, seg_fields=['gt_seg_map']))
    return results, np.random.random()


@pytest.mark.parametrize('labels', [LABELS, LABELS.astype(np.int64), np.ones_like(LABELS)])
@pytest.mark.parametrize('options', [
    dict(crop_size=(40, 30), cat_max_ratio=0.45), dict(crop_size=40), dict(crop_size=(200, 50)),
    dict(crop_size=40, cat_max_ratio=0.6, ignore_index=1)], ids=str)
def test_crops(options: dict, labels: np.ndarray) -> None:
    for seed in range(15):
        found, following = run(segmentation.RandomCropWithLabels(**options), seed, labels)
        expected, same = run(stock.RandomCrop(**options), seed, labels)
        assert following == same
        assert found['img_shape'] == expected['img_shape']
        assert np.array_equal(found['img'], expected['img'])
        assert np.array_equal(found['gt_seg_map'], expected['gt_seg_map'])


def test_colours() -> None:
    changed = 0
    for seed in range(40):
        found, following = run(segmentation.PhotoMetricDistortion(), seed)
        expected, same = run(stock.PhotoMetricDistortion(), seed)
        assert following == same
        assert np.array_equal(found['img'], expected['img'])
        changed += not np.array_equal(found['img'], IMAGE)
    assert changed > 30


def test_packing() -> None:
    found, _ = run(segmentation.PackSegInputs(meta_keys=()), 0)
    expected, _ = run(stock.PackSegInputs(meta_keys=()), 0)
    assert torch.equal(found['inputs'], expected['inputs'])
    assert found['inputs'].is_contiguous()
    assert torch.equal(found['data_samples'].gt_sem_seg.data,
                       expected['data_samples'].gt_sem_seg.data)
