"""Flips, RandAugment, erasing and packing against mmpretrain's, on the same random numbers."""
from inspect import isfunction

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import RandomFlip
from mmengine.registry import DefaultScope
from mmpretrain.datasets import transforms as stock
from PIL import Image, ImageEnhance, ImageOps

from tests.data.conftest import difference, picture
from vit_plugin.data import augment, pixels

PAD = [104, 116, 124]
RAND_AUGMENT = dict(policies='timm_increasing', num_policies=2, total_level=10, magnitude_level=9,
                    magnitude_std=0.5, hparams=dict(pad_val=PAD, interpolation='bicubic'))
IMAGE = np.asarray(picture(112, 96))[..., ::-1].copy()


def pair(transform: object, twin: object, seed: int, image: np.ndarray = IMAGE
         ) -> tuple[dict, dict]:
    """What both make of an image, after the same random numbers; they use up as many."""
    results = []
    for one in (transform, twin):
        np.random.seed(seed)
        torch.manual_seed(seed)
        results.append((one(dict(img=image.copy(), gt_label=1)), np.random.random()))
    assert results[0][1] == results[1][1]
    return results[0][0], results[1][0]


@pytest.fixture
def rand_augments() -> tuple[augment.RandAugment, stock.RandAugment]:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return augment.RandAugment(**RAND_AUGMENT), stock.RandAugment(**RAND_AUGMENT)


def test_rand_augment(rand_augments: tuple) -> None:
    changed = 0
    for seed in range(60):
        found, expected = pair(*rand_augments, seed)
        assert difference(found['img'], expected['img']) < 0.5
        changed += not np.array_equal(found['img'], IMAGE)
    assert 35 < changed < 55  # 3 in 4, fewer by what changes nothing


@pytest.mark.parametrize('i', range(15))
def test_operations(i: int, rand_augments: tuple) -> None:
    for one in rand_augments:
        one.transforms = [one.transforms[i]]
        one.policies = [one.policies[i]]
        one.num_policies = 1
    constant = np.full_like(IMAGE, 77)
    for seed in range(12):
        found, expected = pair(*rand_augments, seed)
        assert difference(found['img'], expected['img']) < 0.25
        found, expected = pair(*rand_augments, seed, constant)
        assert difference(found['img'], expected['img']) < 0.02
    assert found['img'].dtype == np.uint8
    assert found['img'].shape == IMAGE.shape


@pytest.mark.parametrize(('operation', 'reference'), [
    (stock.AutoContrast(prob=1.), ImageOps.autocontrast),
    (stock.Equalize(prob=1.), ImageOps.equalize),
    (stock.Invert(prob=1.), ImageOps.invert),
    (stock.Posterize(bits=3, prob=1.), lambda image: ImageOps.posterize(image, 3)),
    (stock.Solarize(thr=100, prob=1.), lambda image: ImageOps.solarize(image, 100)),
    (stock.Contrast(0.6, 1., 0.), lambda image: ImageEnhance.Contrast(image).enhance(1.6)),
    (stock.Brightness(0.6, 1., 0.), lambda image: ImageEnhance.Brightness(image).enhance(1.6)),
    (stock.ColorTransform(-0.6, 1., 0.), lambda image: ImageEnhance.Color(image).enhance(0.4)),
    (stock.Sharpness(0.6, 1., 0.), lambda image: ImageEnhance.Sharpness(image).enhance(1.6)),
    (stock.Rotate(20., pad_val=PAD, prob=1., random_negative_prob=0., interpolation='bicubic'),
     lambda image: image.rotate(-20, Image.Resampling.BICUBIC, fillcolor=tuple(PAD[::-1]))),
    *((stock.Translate(shift, PAD, 1., direction, 0., 'bicubic'),
       lambda image, shift=shift, down=direction == 'vertical': image.transform(
           image.size, Image.Transform.AFFINE,
           (1, 0, -shift * image.width * (not down), 0, 1, -shift * image.height * down),
           Image.Resampling.BICUBIC, fillcolor=tuple(PAD[::-1])))
      for shift in (0.31, -0.2, 0., 1.5, -1.5) for direction in ('horizontal', 'vertical')),
], ids=lambda value: '' if isfunction(value) else repr(value))
def test_operations_against_pillow(operation: stock.auto_augment.BaseAugTransform,
                                   reference: object) -> None:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        ours = augment.RandAugment([dict(type='Invert')], 1, 0)
    ours.transforms = [operation]
    found = ours(dict(img=IMAGE.copy()))['img']
    expected = np.asarray(reference(Image.fromarray(IMAGE[..., ::-1])))[..., ::-1]
    assert difference(found, expected) < 1.5


def test_other_operations_are_called() -> None:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        policies = [dict(type='GaussianBlur', radius=2, prob=1.),
                    dict(type='Translate', magnitude=0.3, prob=1.)]  # to the nearest pixel
        twins = (kind(policies, num_policies=3, magnitude_level=9)
                 for kind in (augment.RandAugment, stock.RandAugment))
        found, expected = pair(*twins, seed=3)
    assert np.array_equal(found['img'], expected['img'])


@pytest.mark.parametrize('options', [
    dict(prob=0.5), dict(prob=0.3, direction='vertical'), dict(prob=0.9, direction='diagonal'),
    dict(prob=[0.3, 0.3], direction=['horizontal', 'vertical'])], ids=str)
def test_flips(options: dict) -> None:
    for seed in range(20):
        found, expected = pair(pixels.RandomFlip(**options), RandomFlip(**options), seed)
        assert found['flip_direction'] == expected['flip_direction']
        assert found['flip'] == expected['flip']
        assert np.array_equal(found['img'], expected['img'])
        assert found['img'].flags.c_contiguous


def test_erasing() -> None:
    options = dict(erase_prob=0.5, min_area_ratio=0.02, max_area_ratio=1 / 3, mode='rand',
                   fill_color=[100., 120., 140.], fill_std=[60., 20., 10.])
    ours, theirs = augment.RandomErasing(**options), stock.RandomErasing(**options)
    # Only boxes: mmpretrain's noise comes from NumPy, so that what follows differs.
    boxes, noise = [], []
    for seed in range(100):
        images = []
        for one in (ours, theirs):
            np.random.seed(seed)
            torch.manual_seed(seed)
            images.append(one(dict(img=np.full((60, 80, 3), 255, np.uint8)))['img'])
        boxes.append([cv2.boundingRect((image < 255).any(2).astype(np.uint8)) for image in images])
        x, y, width, height = boxes[-1][0]
        noise.append(images[0][y:y + height, x:x + width].reshape(-1, 3))
    assert all(one == other for one, other in boxes)
    assert 35 < sum(width > 0 for (_, _, width, _), _ in boxes) < 65
    noise = np.concatenate(noise).astype(float)
    assert np.allclose(noise.mean(0) + 0.5, options['fill_color'], atol=2)
    assert np.allclose(noise.std(0)[1:], options['fill_std'][1:], atol=0.5)
    for plain in (dict(mode='const'), dict(mode='rand')):
        found, expected = pair(augment.RandomErasing(**plain), stock.RandomErasing(**plain), 1)
        assert np.array_equal(found['img'], expected['img'])


def test_packing() -> None:
    for image in (IMAGE, IMAGE[:, ::-1], IMAGE[..., 0], IMAGE.astype(np.float32)):
        found, expected = pair(augment.PackInputs(), stock.PackInputs(), 0, image)
        assert torch.equal(found['inputs'], expected['inputs'])
        assert found['inputs'].is_contiguous()
        assert found['data_samples'].gt_label == expected['data_samples'].gt_label
