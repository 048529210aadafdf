"""The same pixels whatever the workers, epochs before, and position in a run."""
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import mmpretrain  # noqa: F401, whose transforms are seeded
import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor
from torch.utils.data import DataLoader

from vit_plugin.errors import UserError
from vit_plugin.training.sampling import SampleKey, SeededDataset
from vit_plugin.training.seeding import SeedHook

PIPELINE = [
    dict(type='vit_plugin.LoadImage'),
    dict(type='mmpretrain.RandomResizedCrop', scale=32, backend='pillow'),
    dict(type='mmpretrain.RandAugment', policies='timm_increasing', num_policies=2,
         total_level=10, magnitude_level=9, magnitude_std=0.5),
    dict(type='mmpretrain.RandomErasing', erase_prob=0.5, mode='rand'),
    dict(type='mmpretrain.PackInputs'),
]


def build_loader(folder: Path, workers: int, sampler: dict, seed: int = 1) -> object:
    return Runner.build_dataloader(dict(
        batch_size=2, num_workers=workers, persistent_workers=workers > 0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='vit_plugin.SeededSampler', sampler=sampler),
        dataset=dict(type='vit_plugin.SeededDataset', dataset=dict(
            type='vit_plugin.ImageFolder', data_root=str(folder), pipeline=PIPELINE))), seed=seed)


def pixels(loader: object, epoch: int) -> Tensor:
    loader.sampler.set_epoch(epoch)
    return torch.cat([batch['inputs'] for batch in loader])


@pytest.mark.parametrize('kind', ['mmpretrain.RepeatAugSampler', 'DefaultSampler'])
def test_number_of_workers_and_epochs_before(image_folder: Path, kind: str) -> None:
    sampler = dict(type=kind, shuffle=True)
    loaders = [build_loader(image_folder, workers, sampler) for workers in (0, 1, 2)]
    first, one, two = (pixels(loader, 5) for loader in loaders)
    assert torch.equal(first, one)
    assert torch.equal(first, two)
    again = pixels(loaders[0], 6)
    assert not torch.equal(again, first)
    assert torch.equal(again, pixels(loaders[2], 6))  # persistent workers learn of the epoch
    other = build_loader(image_folder, 0, sampler, seed=2)
    assert not torch.equal(pixels(other, 5), first)


def test_repeats_of_an_image_differ(image_folder: Path) -> None:
    # With one generator for each (seed, epoch, index), repeated augmentation would be repetition.
    loader = build_loader(image_folder, 0, dict(type='mmpretrain.RepeatAugSampler'))
    draws = list(loader.sampler)
    assert len(set(draws)) == len(draws) == 8
    assert len({draw.sample for draw in draws}) == 3
    images = pixels(loader, 0)
    assert not any(torch.equal(images[i], images[j]) for i in range(8) for j in range(i))


def test_infinite_sampler_counts_passes(image_folder: Path) -> None:
    sampler = build_loader(image_folder, 0, dict(type='InfiniteSampler')).sampler
    stream = iter(sampler)
    draws = [next(stream) for _ in range(24)]
    assert [draw.epoch for draw in draws] == [0] * 8 + [1] * 8 + [2] * 8
    sampler = build_loader(image_folder, 0, dict(type='InfiniteSampler')).sampler
    sampler.advance(13)
    assert next(iter(sampler)) == draws[13]


def test_seed_that_comes_late(image_folder: Path) -> None:
    """mmengine 0.10.7 draws for the workers before it reads the seed of a checkpoint."""
    late, expected = (build_loader(image_folder, 0, dict(type='InfiniteSampler'), seed).sampler
                      for seed in (2, 1))
    next(iter(late))
    late.set_seed(1)
    assert [*islice(late, 8)] == [*islice(expected, 8)]


def test_a_later_pass_sees_the_pixels_of_training(image_folder: Path) -> None:
    loader = build_loader(image_folder, 2, dict(type='DefaultSampler', shuffle=True))
    seen = pixels(loader, 3)
    loader.sampler.set_epoch(3)
    later = [loader.dataset[draw]['inputs'] for draw in loader.sampler]
    assert torch.equal(seen, torch.stack(later))


def test_plain_index() -> None:
    """Gives the data set's own samples; a run is told that nothing seeds them."""
    dataset = SeededDataset([7, 8])
    assert [*dataset] == [dataset[SampleKey(0, 0, i)] for i in range(2)] == [7, 8]
    runner = SimpleNamespace(train_loop=None, train_dataloader=DataLoader(dataset))
    with pytest.raises(UserError, match=r'sampler SequentialSampler, .*vit_plugin.SeededSampler'):
        SeedHook().before_train(runner)


def test_arguments_of_the_data_set(image_folder: Path) -> None:
    for name, value in (('data_root', 'data'), ('pipeline', {'0': dict(scale=1)})):
        with pytest.raises(UserError, match=rf"has no \['{name}'\]: .* one level deeper"):
            SeededDataset(dict(type='vit_plugin.ImageFolder'), **{name: value})
    config = dict(type='vit_plugin.ImageFolder', data_root=str(image_folder), pipeline=[
        dict(type='absent')])
    dataset = SeededDataset(config, pipeline=[])
    assert dataset[5]['img_path'] == str(image_folder / 'light/1.png')
    assert dataset.get_subset([5, 6])[SampleKey(0, 0, 0)]['img_path'] == dataset[5]['img_path']
    assert dataset.get_cat_ids(5) == dataset.get_cat_ids(SampleKey(0, 0, 5)) == [1]
    assert dataset.get_gt_labels().tolist() == [0] * 4 + [1] * 4


class Photos:
    """Two wide images, two narrow ones, and so on."""

    def __len__(self) -> int:
        return 8

    def full_init(self) -> None:
        pass

    def get_data_info(self, index: int) -> dict:
        return dict(width=30 if index % 4 < 2 else 10, height=20)

    def __getitem__(self, index: int) -> int:
        return index


def photo_loader(batch_sampler: dict) -> Any:
    return Runner.build_dataloader(dict(
        batch_size=2, num_workers=0, batch_sampler=batch_sampler,
        sampler=dict(type='vit_plugin.SeededSampler',
                     sampler=dict(type='DefaultSampler', shuffle=True)),
        dataset=dict(type='vit_plugin.SeededDataset', dataset=Photos())), seed=0)


def go_on(loader: Any, done: int) -> None:
    """Begin the second epoch of four iterations, of which some were done before a checkpoint."""
    runner = SimpleNamespace(train_dataloader=loader, iter=4 + done, epoch=1,
                             train_loop=EpochBasedTrainLoop.__new__(EpochBasedTrainLoop))
    hook = SeedHook()
    hook.after_load_checkpoint(runner, dict(epoch_progress=dict(done=done, length=4)))
    hook.before_train_epoch(runner)


def test_batches_of_one_proportion() -> None:
    """mmdet's batch sampler asks for the images' sizes, and reorders what is drawn."""
    sampler = pytest.importorskip('mmdet.datasets.samplers').AspectRatioBatchSampler
    loader = photo_loader(dict(type=sampler))
    batches = [list(map(int, batch)) for batch in loader]
    assert {index for batch in batches for index in batch} == set(range(8))
    assert all((first % 4 < 2) == (second % 4 < 2) for first, second in batches)
    with pytest.raises(ValueError, match=r'2 iterations behind .* epoch 2.*SkipBatch.*AspectRatio'):
        go_on(loader, done=2)
    go_on(loader, done=0)


def test_sampler_that_asks_the_data_set() -> None:
    """mmdet's for long tails wants what only its own data sets have."""
    kind = pytest.importorskip('mmdet.datasets.samplers').ClassAwareSampler

    class LongTail(Photos):
        metainfo: ClassVar[dict] = dict(classes=('cat', 'fox'))

        def get_cat_ids(self, index: int) -> list[int]:
            return [int(index == 7)]
    sampler = dict(type='vit_plugin.SeededSampler', sampler=dict(type=kind))
    loader = Runner.build_dataloader(dict(
        batch_size=2, num_workers=0, sampler=sampler,
        dataset=dict(type='vit_plugin.SeededDataset', dataset=LongTail())), seed=0)
    expected = list(kind(LongTail(), seed=0))
    assert expected.count(7) == 4
    assert [draw.sample for draw in loader.sampler] == expected


@pytest.mark.parametrize('done', [1, 2, 3])
def test_batches_of_one_proportion_go_on_within_an_epoch(done: int) -> None:
    """Which samples wait in mmdet's two buckets is part of where the epoch was left."""
    sampler = pytest.importorskip('mmdet.datasets.samplers').AspectRatioBatchSampler
    config = dict(type='vit_plugin.SkipBatchSampler', batch_sampler=dict(type=sampler))
    whole, resumed = photo_loader(config), photo_loader(config)
    for loader in (whole, resumed):
        loader.batch_sampler.sampler.set_epoch(1)
    go_on(resumed, done)
    expected = list(whole.batch_sampler)
    assert len(resumed) == len(expected) == 4
    iter(resumed.batch_sampler)  # as torch does with workers, without taking anything
    assert list(resumed.batch_sampler) == expected[done:]
    assert len(list(resumed.batch_sampler)) == 4  # the next epoch, from its start
