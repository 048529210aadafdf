"""Data sets of images that are not files of their own; they need mmpretrain.

They read the content of an image at random, so that samplers, seeds and resuming work as with
folders. `LoadImage` and `LoadRandomResizedCrop` decode the content (``img_bytes``).
"""
import os
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mmengine import fileio
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from torch.utils.data import Sampler

from vit_plugin.errors import UserError
from vit_plugin.registry import DATA_SAMPLERS, DATASETS

from .tar_index import read_index

OPEN_FILES = 64


class PackedImages(BaseDataset):
    """Gives each sample the content of its image."""

    def read(self, sample: dict) -> bytes:
        """The content of a sample's image."""
        raise NotImplementedError

    def prepare_data(self, idx: int) -> Any:
        """One sample through the pipeline."""
        sample = self.get_data_info(idx)
        return self.pipeline(dict(sample, img_bytes=self.read(sample)))


@DATASETS.register_module()
class TarImages(PackedImages):
    """Images in tar shards, in the format of webdataset: ``<key>.jpg`` beside ``<key>.cls``.

    Where each image lies in its shard is found once and kept beside it, in ``<shard>.index.json``.
    On a file system that is slow at random, use `ShardSampler`.

    Args:
        shards: Pattern of the shards' names below ``data_root``, e.g. ``'imagenet-train-*.tar'``.
        **kwargs: mmpretrain's ``BaseDataset``'s: ``data_root``, ``pipeline``, ``classes``, ...

    Raises:
        FileNotFoundError: there are no such shards.
        ValueError: a shard is truncated or no tar file, or an image has no label.
    """

    def __init__(self, shards: str, data_root: str = '', **kwargs: Any) -> None:
        self.shards = sorted(glob(os.path.join(data_root, shards)))
        if not self.shards:
            raise FileNotFoundError(f"no shards match '{os.path.join(data_root, shards)}'")
        self.files: dict[str, BinaryIO] = {}
        super().__init__('', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The samples: where each one lies, and its label."""
        print_log(f'reading where the images of {len(self.shards)} shards lie', 'current')
        samples = [dict(img_path=f'{path}/{name}', path=path, offset=offset, size=size,
                        gt_label=label)
                   for path in self.shards for name, offset, size, label in read_index(Path(path))]
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

    Each process reads its own shards only, and those one after the other. All draw as many images,
    so that some of an epoch's images may be left out or come twice; others in each epoch.

    Args:
        dataset: A `TarImages`, also inside a `SeededDataset`; mmengine's runner passes it.
        seed: The run's seed; mmengine's runner passes it.
        shards_at_once: Images of so many shards are mixed.

    Raises:
        ValueError: there are fewer shards than processes.
    """

    def __init__(self, dataset: Any, seed: int | None = None, shards_at_once: int = 8) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.shards_at_once = shards_at_once
        numbers = getattr(dataset, 'dataset', dataset).shard_numbers()
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


@DATASETS.register_module()
class HuggingFaceImages(PackedImages):
    """Images of a Hugging Face data set (Arrow, Parquet), by the library ``datasets``.

    Args:
        source: What ``datasets.load_dataset`` takes (a name, a folder, ``'parquet'``, ...), or a
            folder that ``save_to_disk`` wrote.
        split: The split, e.g. ``'train'``.
        image_key, label_key: The columns; a column of ``ClassLabel`` also names the classes.
        options: More arguments of ``load_dataset``, e.g. ``dict(data_files='train-*.parquet')``.
        **kwargs: mmpretrain's ``BaseDataset``'s: ``pipeline``, ``classes``, ...

    Raises:
        ImportError: ``datasets`` is not installed.
        ValueError: the data set cannot be read, or has no such column.
    """

    def __init__(self, source: str, split: str = 'train', image_key: str = 'image',
                 label_key: str = 'label', options: dict[str, Any] | None = None,
                 **kwargs: Any) -> None:
        self.source = source
        self.split = split
        self.image_key = image_key
        self.label_key = label_key
        self.options = options or {}
        super().__init__('', **kwargs)

    def load_data_list(self) -> list[dict]:
        """The samples: the number of the row, and its label."""
        self.table = self.open_table()
        names = getattr(self.table.features[self.label_key], 'names', None)
        if self.CLASSES is None and names:
            self._metainfo['classes'] = tuple(names)
        return [dict(img_path=f'{self.source}/{self.split}/{i}', row=i, gt_label=label)
                for i, label in enumerate(self.table[self.label_key])]

    def open_table(self) -> Any:
        """The data set, with images as they are in the file."""
        try:
            import datasets
        except ImportError as error:
            raise ImportError("HuggingFaceImages needs the library 'datasets': "
                              "pip install 'vit-plugin[huggingface]'") from error
        try:
            written = (Path(self.source, name) for name in ('state.json', 'dataset_dict.json'))
            if any(path.exists() for path in written):
                table = datasets.load_from_disk(self.source)
                table = table[self.split] if isinstance(table, dict) else table
            else:
                table = datasets.load_dataset(self.source, split=self.split, **self.options)
        except Exception as error:  # of Arrow, of the file system, of the hub, ...
            raise UserError(
                f"cannot read the split '{self.split}' of the data set '{self.source}' "
                f'{self.options or ""} ({type(error).__name__}: {error})') from error
        for key in (self.image_key, self.label_key):
            if key not in table.features:
                raise UserError(f"the data set '{self.source}' has no column '{key}': set "
                                f'image_key and label_key to two of {list(table.features)}')
        if isinstance(table.features[self.image_key], datasets.Image):
            table = table.cast_column(self.image_key, datasets.Image(decode=False))
        return table

    def read(self, sample: dict) -> bytes:
        """The content of a sample's image."""
        image = self.table[sample['row']][self.image_key]
        if isinstance(image, dict):  # the content, or the path of a file
            image = image['bytes'] or fileio.get(image['path'])
        return image
