"""Augmentation on the device against the same draws in the pipeline."""
from typing import Any

import mmpretrain  # noqa: F401, whose data preprocessor the plugin's is
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DefaultScope

from tests.conftest import ROOT
from tests.transforms.conftest import difference, picture
from vit_plugin.classification.augmentation import AugmentingDataPreprocessor
from vit_plugin.reproducibility.seeding import seed_generators

IMAGE = np.asarray(picture(112, 96))[..., ::-1].copy()
FLIP, RAND_AUGMENT, ERASING = Config.fromfile(
    ROOT / 'configs/_base_/datasets/imagenet_224.py').train_pipeline[1:4]
PACK = dict(type='vit_plugin.PackInputs')


def build(transforms: list[dict]) -> Compose:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose(transforms)


def on_the_device(transforms: list[dict]) -> Compose:
    return build([dict(type='vit_plugin.DrawAugmentation', transforms=transforms), PACK])


def prepare(pipeline: Compose, seeds: range) -> list[tuple[dict, float]]:
    """Samples, and the random number that follows each."""
    found = []
    for seed in seeds:
        seed_generators(seed, devices=False)
        found.append((pipeline(dict(img=IMAGE.copy(), gt_label=1)), np.random.random()))
    return found


def finish(samples: list[dict], training: bool = True) -> torch.Tensor:
    return AugmentingDataPreprocessor()(default_collate(samples), training)['inputs']


def compare(transforms: list[dict], seeds: range) -> list[float]:
    """Differences between both ways, of 255; what follows is drawn alike."""
    drawn, here = (prepare(pipeline, seeds) for pipeline in
                   (on_the_device(transforms), build([*transforms, PACK])))
    assert [following for _, following in drawn] == [following for _, following in here]
    images = finish([sample for sample, _ in drawn])
    return [difference(image.numpy(), sample['inputs'].numpy())
            for image, (sample, _) in zip(images, here)]


@pytest.mark.parametrize('i', range(15))
def test_operations(i: int) -> None:
    config = dict(RAND_AUGMENT, num_policies=1)
    policy = build([config]).transforms[0].policies[i]
    differences = compare([dict(config, policies=[policy])], range(12))
    assert max(differences) < 0.75
    assert np.mean(differences) < 0.3


def test_all_together() -> None:
    differences = compare([FLIP, RAND_AUGMENT], range(80))
    assert max(differences) < 1.5
    assert np.mean(differences) < 0.3


def test_flips() -> None:
    flip = dict(FLIP, prob=[0.3, 0.3, 0.3], direction=['horizontal', 'vertical', 'diagonal'])
    assert max(compare([flip], range(20))) == 0


def test_erasing() -> None:
    drawn, here = (prepare(pipeline, range(60)) for pipeline in
                   (on_the_device([ERASING]), build([ERASING, PACK])))
    images = finish([sample for sample, _ in drawn])
    noise = []
    for image, (sample, _), (expected, _) in zip(images, drawn, here):
        step, = sample['data_samples'].augmentation
        outside = torch.ones(IMAGE.shape[:2], dtype=torch.bool)
        if step:
            top, left, height, width = step[1][0]
            outside[top:top + height, left:left + width] = False
            noise.append(image[:, ~outside])
        assert torch.equal(image[:, outside], expected['inputs'][:, outside].float())
    assert 6 < len(noise) < 25  # one in four
    noise = torch.cat(noise, 1)
    # Normal noise that is cut to 0 ... 255.
    expected = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0))
    expected = (expected * torch.tensor(ERASING.fill_std)[:, None]
                + torch.tensor(ERASING.fill_color)[:, None]).clamp(0, 255).to(torch.uint8).float()
    assert torch.allclose(noise.mean(1), expected.mean(1), atol=2)
    assert torch.allclose(noise.std(1), expected.std(1), atol=2)
    plain = dict(ERASING, mode='const', fill_color=[1, 2, 3])
    assert max(compare([plain], range(20))) == 0


def test_an_image_depends_on_its_own_draw_alone() -> None:
    samples = [sample for sample, _ in
               prepare(on_the_device([FLIP, RAND_AUGMENT, ERASING]), range(40))]
    together = finish(samples)
    assert torch.equal(together, torch.cat([finish([sample]) for sample in samples]))
    assert torch.equal(together, finish(samples[::-1]).flip(0))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(together, finish(samples))
    plain = torch.from_numpy(IMAGE).permute(2, 0, 1).float()
    assert torch.equal(finish(samples[:2], training=False), torch.stack([plain, plain]))


@pytest.mark.parametrize(('transform', 'message'), [
    (dict(type='ColorJitter', brightness=0.4), 'got ColorJitter: keep it in the pipeline itself'),
    (dict(type='RandomErasing', mode='rand'), 'needs fill_std for DrawAugmentation'),
    (dict(RAND_AUGMENT, hparams={}), r"interpolation='nearest' must be 'bicubic'"),
    (dict(RAND_AUGMENT, policies=[dict(type='Cutout', shape=5)]), 'no counterpart .* of Cutout')])
def test_refused_transforms(transform: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        on_the_device([transform])


def test_refused_batches() -> None:
    samples: Any = [sample for sample, _ in prepare(build([PACK]), range(2))]
    with pytest.raises(ValueError, match='found no augmentation with the images: add'):
        finish(samples)
    batch = dict(inputs=[sample['inputs'] for sample in samples],
                 data_samples=[sample['data_samples'] for sample in samples])
    with pytest.raises(ValueError, match=r"add collate_fn=dict\(type='default_collate'\)"):
        AugmentingDataPreprocessor()(batch, training=True)
