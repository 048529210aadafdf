"""Augmentation that depends on nothing but the seed, the epoch and the sample.

mmengine seeds each worker once, so what a sample gets depends on the number of workers and on
where a run was resumed.
"""
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import get_dist_info
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset, Sampler

from vit_plugin.errors import UserError
from vit_plugin.registry import DATA_SAMPLERS, DATASETS


def seed_generators(*key: int, devices: bool = True) -> None:
    """Seed ``random``, NumPy and torch by a key of non-negative integers.

    Without ``devices`` only torch's generator of the CPU, which takes a fiftieth of the time.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    seed_torch = torch.manual_seed if devices else torch.default_generator.manual_seed
    seed_torch(int(words[2]) << 32 | int(words[3]))


class SampleKey(NamedTuple):
    """All that the augmentation of a sample depends on."""

    seed: int
    epoch: int
    sample: int
    repeat: int = 0


@DATA_SAMPLERS.register_module()
class SeededSampler(Sampler):
    """Another sampler's indices as `SampleKey`, for `SeededDataset`.

    Args:
        dataset: The data set; mmengine's runner passes it.
        seed: The run's seed; mmengine's runner passes it.
        sampler: Config of the sampler, e.g. ``dict(type='DefaultSampler', shuffle=True)``,
            ``InfiniteSampler`` or mmpretrain's ``RepeatAugSampler``, whose repeats of an image get
            different augmentation.
    """

    def __init__(self, dataset: Dataset, sampler: dict, seed: int | None = None) -> None:
        self.config = sampler
        self.dataset = dataset  # where mmdet's batch samplers look for the images' proportions
        self.set_seed(seed)
        self.size = len(dataset)  # type: ignore[arg-type]
        self.num_repeats = getattr(self.sampler, 'num_repeats', 1)
        self.rank, self.world_size = get_dist_info()
        self.epoch = self.start = 0
        if hasattr(self.sampler, 'skip'):  # how mmengine asks whether the stream is endless
            self.skip = self.advance

    def __iter__(self) -> Iterator[SampleKey]:
        start, self.start = self.start, 0
        for i, index in islice(enumerate(self.sampler), start, None):
            position = i * self.world_size + self.rank  # among the samples of all processes
            yield SampleKey(self.sampler.seed, self.epoch + position // self.size, index,
                            position % self.num_repeats)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Start another epoch."""
        self.epoch = epoch
        self.sampler.set_epoch(epoch)

    def set_seed(self, seed: int | None) -> None:
        """Begin again with a seed: a run that is resumed gets it from its checkpoint."""
        dataset = self.dataset
        if isinstance(dataset, SeededDataset):
            dataset = dataset.dataset  # of which the sampler may ask more
        self.sampler = DATA_SAMPLERS.build(
            self.config, default_args=dict(dataset=dataset, seed=seed))

    def advance(self, num_samples: int) -> None:
        """Begin the next iteration after as many samples of this process."""
        self.start = num_samples


@DATA_SAMPLERS.register_module()
class SkipBatchSampler(Sampler):
    """Another batch sampler, which `SeedHook` can start in the middle of an epoch.

    The samples of a batch may depend on anything random: batches are made and passed over, without
    loading a sample.

    Args:
        sampler: The sampler; mmengine's runner passes it.
        batch_size: Samples in a batch; mmengine's runner passes it.
        batch_sampler: Config of the batch sampler, e.g. ``dict(type='AspectRatioBatchSampler')``.
    """

    def __init__(self, sampler: Sampler, batch_size: int, batch_sampler: dict) -> None:
        self.batch_sampler = DATA_SAMPLERS.build(
            batch_sampler, default_args=dict(sampler=sampler, batch_size=batch_size))
        self.sampler, self.batch_size, self.start = sampler, batch_size, 0

    def __iter__(self) -> Iterator[list]:
        # a generator, as the samplers are: with workers, torch makes two and takes from one
        start, self.start = self.start, 0
        yield from islice(self.batch_sampler, start, None)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def advance(self, num_batches: int) -> None:
        """Begin the next iteration after as many batches of this process."""
        self.start = num_batches


@DATASETS.register_module()
class SeededDataset(Dataset):
    """Another data set; each `SampleKey` seeds ``random``, NumPy and torch (CPU).

    Give its loader a `SeededSampler`. Works with the transforms of any toolkit. What they pack as
    ``data_samples`` brings its key along: ``sample_key``, of ``num_samples`` samples. Stock tools
    look at it as at the data set itself: an integer gives a sample, which is not seeded.

    Args:
        dataset: Config of the data set, or the data set.
        pipeline: In place of the pipeline in the config of the data set, as stock tools set it.
        **misplaced: Nothing; what belongs to the config of the data set is named in an error.

    Raises:
        UserError: there are other arguments.
    """

    def __init__(self, dataset: dict | BaseDataset, pipeline: Sequence[dict] | None = None,
                 **misplaced: object) -> None:
        if pipeline is not None:
            if not isinstance(dataset, dict) or isinstance(pipeline, dict):  # of --cfg-options
                misplaced['pipeline'] = pipeline
            else:
                dataset = dict(dataset, pipeline=pipeline)
        if misplaced:
            raise UserError(f'SeededDataset has no {list(misplaced)}: what belongs to the data set '
                            'goes one level deeper, train_dataloader=dict(dataset=dict(dataset='
                            'dict(...)))')
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __getitem__(self, key: SampleKey | int) -> dict:
        if not isinstance(key, SampleKey):
            return self.dataset[key]
        seed_generators(*key, devices=False)
        item = self.dataset[key.sample]
        if isinstance(item, dict) and isinstance(item.get('data_samples'), BaseDataElement):
            item['data_samples'].set_metainfo(dict(sample_key=key, num_samples=len(self)))
        return item

    def __len__(self) -> int:
        return len(self.dataset)

    def get_data_info(self, key: SampleKey | int) -> dict:
        """The data set's entry of a sample, before it is loaded."""
        return self.dataset.get_data_info(index_of(key))

    def get_cat_ids(self, key: SampleKey | int) -> list[int]:
        """The classes of a sample."""
        return self.dataset.get_cat_ids(index_of(key))

    def get_gt_labels(self) -> np.ndarray:
        """The labels of all samples of a classification data set."""
        return self.dataset.get_gt_labels()

    def get_subset(self, indices: Sequence[int] | int) -> 'SeededDataset':
        """Some of the samples, or the first ones."""
        return SeededDataset(self.dataset.get_subset(indices))

    @property
    def pipeline(self) -> Compose:
        """The transforms of the data set."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Compose) -> None:
        self.dataset.pipeline = pipeline

    @property
    def metainfo(self) -> dict:
        """``metainfo`` of the data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Initialise the data set, where that was put off."""
        self.dataset.full_init()


def index_of(key: SampleKey | int) -> int:
    """The index of a sample."""
    return key.sample if isinstance(key, SampleKey) else key
