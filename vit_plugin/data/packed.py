"""Data sets of images that are not files of their own; they need mmpretrain.

They read the content of an image at random, so that samplers, seeds and resuming work as with
folders. `LoadImage` and `LoadRandomResizedCrop` decode the content (``img_bytes``).
"""
import os
from collections.abc import Iterator, Sequence
from glob import escape, glob
from pathlib import Path
from typing import BinaryIO

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from torch.utils.data import Dataset, Sampler

from vit_plugin.errors import UserError, shorten
from vit_plugin.registry import DATA_SAMPLERS, DATASETS
from vit_plugin.training.sampling import SeededDataset

from .tar_index import INDEX, read_index

OPEN_FILES = 64


class PackedImages(BaseDataset):
    """A data set whose samples bring the content of their images."""

    def read(self, sample: dict) -> bytes:
        """The content of a sample's image."""
        raise NotImplementedError

    def class_number(self, label: str | int, where: str) -> int:
        """The number of a class by its name, or the number itself.

        Raises:
            UserError: there is no such class, or a name but no ``classes``.
        """
        classes = self.CLASSES or ()
        if isinstance(label, str) and label in classes:
            return classes.index(label)
        if isinstance(label, int) and label >= 0 and (not classes or label < len(classes)):
            return label
        right = 'a number from 0, or a name that classes=[...] of the data set gives'
        if classes:
            right = f'a number below {len(classes)}, or one of {shorten(map(repr, classes))}'
        raise UserError(f'{where} has the label {label!r}, which should be {right}')

    def prepare_data(self, idx: int) -> dict | None:
        """One sample through the pipeline."""
        sample = self.get_data_info(idx)
        return self.pipeline(dict(sample, img_bytes=self.read(sample)))


@DATASETS.register_module()
class TarImages(PackedImages):
    """Images in tar shards, in the format of webdataset: ``<key>.jpg`` beside ``<key>.cls``.

    A label is a number, or a name of ``classes``. Keys may have dots and differ within a shard;
    several shards may have the same. Where each image lies in its shard is found once and kept
    beside it, in ``<shard>.index.json``. On a file system that is slow at random, use
    `ShardSampler`.

    Args:
        shards: Pattern of the shards' names below ``data_root``, e.g. ``'imagenet-train-*.tar'``,
            or several.
        **kwargs: mmpretrain's ``BaseDataset``'s: ``data_root``, ``pipeline``, ``classes``, ...

    Raises:
        FileNotFoundError: there are no such shards, for one of the patterns.
        UserError: a shard is truncated, empty or no tar file, or an image has no label, or one
            that is no class.
    """

    def __init__(self, shards: str | Sequence[str], data_root: str = '', **kwargs: object) -> None:
        found: set[str] = set()
        for pattern in [shards] if isinstance(shards, str) else shards:
            matching = {path for path in glob(os.path.join(escape(data_root), pattern))
                        if not path.endswith(INDEX)}
            if not matching:
                raise FileNotFoundError(f"no shards match '{os.path.join(data_root, pattern)}'")
            odd = sorted(path for path in matching if not os.path.isfile(path))
            if odd:
                raise UserError(f"'{odd[0]}' matches '{pattern}', but is no file: TarImages reads "
                                'plain tar files')
            found |= matching
        if not found:
            raise UserError('TarImages has no shards: shards=[] should be one pattern, or several')
        self.shards = sorted(found)
        self.files: dict[str, BinaryIO] = {}
        super().__init__('', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The samples: where each one lies, and its label."""
        print_log(f'reading where the images of {len(self.shards)} shards lie', 'current')
        samples: list[dict] = []
        for path in self.shards:
            for name, offset, size, label in read_index(Path(path)):
                where = f'{path}/{name}'
                samples.append(dict(img_path=where, path=path, offset=offset, size=size,
                                    gt_label=self.class_number(label, f"'{where}'")))
        print_log(f'{len(samples)} images', 'current')
        return samples

    def read(self, sample: dict) -> bytes:
        """The content of a sample's image."""
        path = sample['path']
        if path not in self.files:
            if len(self.files) == OPEN_FILES:
                self.files.pop(next(iter(self.files))).close()
            self.files[path] = open(path, 'rb')  # noqa: SIM115 (closed above)
        # Unlike seek and read, this does not disturb other workers, which share the open file.
        content = os.pread(self.files[path].fileno(), sample['size'], sample['offset'])
        if len(content) < sample['size']:
            raise UserError(f"the shard '{path}' has become shorter since its images were found")
        return content

    def shard_numbers(self) -> np.ndarray:
        """The number of each sample's shard."""
        numbers = {path: i for i, path in enumerate(self.shards)}
        return np.array([numbers[self.get_data_info(i)['path']] for i in range(len(self))])

    def __getstate__(self) -> dict:
        return dict(self.__dict__, files={})  # for workers that are not forked


@DATA_SAMPLERS.register_module()
class ShardSampler(Sampler):
    """Shuffles shards, deals them to the processes, and shuffles the images of a few at a time.

    Each process reads its own shards only, and those one after the other. All sample as many
    images, so that some of an epoch's images may be left out or come twice; others in each epoch.

    Args:
        dataset: A `TarImages`, also inside a `SeededDataset`; mmengine's runner passes it.
        seed: The run's seed; mmengine's runner passes it.
        shards_at_once: Images of so many shards are mixed.

    Raises:
        UserError: there are fewer shards than processes, or it is another data set.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None, shards_at_once: int = 8) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.shards_at_once = shards_at_once
        images = dataset.dataset if isinstance(dataset, SeededDataset) else dataset
        if not hasattr(images, 'shard_numbers'):
            raise UserError(
                f'ShardSampler deals the shards of a TarImages, got a {type(images).__name__}: '
                'give a TarImages several patterns, shards=[...], instead of joining or repeating '
                "data sets, or use sampler=dict(type='DefaultSampler')")
        numbers = images.shard_numbers()
        self.members = [np.flatnonzero(numbers == i) for i in np.unique(numbers)]
        if len(self.members) < self.world_size:
            raise UserError(f'{len(self.members)} shards cannot be dealt to {self.world_size} '
                            "processes: write smaller shards, or use 'DefaultSampler'")
        self.size = -(-len(numbers) // self.world_size)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        mine = generator.permutation(len(self.members))[self.rank::self.world_size]
        mixed = []
        for i in range(0, len(mine), self.shards_at_once):
            mixed.append(np.concatenate([self.members[j] for j in mine[i:i + self.shards_at_once]]))
            generator.shuffle(mixed[-1])
        return iter(np.resize(np.concatenate(mixed), self.size).tolist())

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Start another epoch."""
        self.epoch = epoch
