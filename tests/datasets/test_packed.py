"""Images in tar shards, Arrow and Parquet: the samples of a folder, and clear errors."""
import io
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from tests.reproducibility.test_sampling import pixels
from vit_plugin.datasets import packed
from vit_plugin.datasets.packed import HuggingFaceImages, ShardSampler, TarImages
from vit_plugin.registry import DATASETS
from vit_plugin.reproducibility import SeededDataset

PIPELINE = [dict(type='vit_plugin.LoadRandomResizedCrop', scale=16),
            dict(type='mmpretrain.PackInputs')]


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(image_folder: Path, tmp_path: Path) -> Path:
    """The 8 images of the folder in 4 shards; an index is the number of the image."""
    images = sorted(image_folder.glob('*/*.png'))
    for i in range(4):
        with tarfile.open(tmp_path / f'images-{i}.tar', 'w') as tar:
            for j in (2 * i, 2 * i + 1):
                add(tar, f'part.1/{j:03}.png', images[j].read_bytes())
                add(tar, f'part.1/{j:03}.cls', b'%d\n' % (j >= 4))
                add(tar, f'part.1/{j:03}.json', b'{}')
    return tmp_path


def loader(dataset: dict, workers: int, sampler: dict) -> object:
    return Runner.build_dataloader(dict(
        batch_size=2, num_workers=workers, persistent_workers=workers > 0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='vit_plugin.SeededSampler', sampler=sampler),
        dataset=dict(type='vit_plugin.SeededDataset', dataset=dict(dataset, pipeline=PIPELINE))),
        seed=1)


@pytest.mark.parametrize('sampler', ['DefaultSampler', 'vit_plugin.ShardSampler'])
def test_shards_give_the_samples_of_a_folder(shards: Path, image_folder: Path, sampler: str
                                             ) -> None:
    tar = dict(type='vit_plugin.TarImages', data_root=str(shards), shards='images-*.tar',
               classes=['dark', 'light'])
    loaders = [loader(tar, workers, dict(type=sampler)) for workers in (0, 2)]
    found = [pixels(one, 3) for one in loaders]
    assert torch.equal(*found)
    folder = loader(dict(type='vit_plugin.ImageFolder', data_root=str(image_folder)), 0,
                    dict(type=sampler) if sampler == 'DefaultSampler' else
                    dict(type='DefaultSampler'))
    if sampler == 'DefaultSampler':
        assert torch.equal(found[0], pixels(folder, 3))
    order = [draw.sample for draw in loaders[0].sampler]
    labels = [int(sample.gt_label) for batch in loaders[0] for sample in batch['data_samples']]
    assert labels == [index >= 4 for index in order]
    loaders[0].sampler.advance(4)  # as after a resume
    assert [draw.sample for draw in loaders[0].sampler] == order[4:]
    assert loaders[0].dataset.metainfo['classes'] == ('dark', 'light')


def test_many_shards_and_other_processes(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, 'OPEN_FILES', 2)
    dataset = TarImages('images-*.tar', str(shards))
    first = [dataset.read(dataset.get_data_info(i)) for i in range(8)]
    assert len(dataset.files) == 2
    copy = pickle.loads(pickle.dumps(dataset))
    assert [copy.read(copy.get_data_info(i)) for i in range(8)] == first
    assert len(set(first)) == 8


def test_index_is_kept_until_the_shard_changes(shards: Path, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    expected = [TarImages('images-*.tar', str(shards)).get_data_info(i) for i in range(8)]
    assert sorted(path.name for path in shards.glob('*.json')) == [
        f'images-{i}.tar.index.json' for i in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr('tarfile.open', None)
        again = TarImages('images-*.tar', str(shards))
        assert [again.get_data_info(i) for i in range(8)] == expected
    with tarfile.open(shards / 'images-3.tar', 'a') as tar:
        add(tar, 'more.jpg', b'image')
        add(tar, 'more.cls', b'1')
    assert len(TarImages('images-*.tar', str(shards))) == 9
    (shards / 'images-0.tar.index.json').write_text('{')
    assert len(TarImages('images-*.tar', str(shards))) == 9


def test_shard_sampler_deals_shards(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SeededDataset(TarImages('images-*.tar', str(shards)))
    orders = {}
    for rank in range(2):
        monkeypatch.setattr(packed, 'get_dist_info', lambda rank=rank: (rank, 2))
        sampler = ShardSampler(dataset, seed=5, shards_at_once=1)
        assert len(sampler) == 4
        for epoch in range(6):
            sampler.set_epoch(epoch)
            orders[rank, epoch] = order = list(sampler)
            assert order == list(sampler)
            # one shard after the other
            assert order[0] // 2 == order[1] // 2 != order[2] // 2 == order[3] // 2
    for epoch in range(6):
        assert sorted(orders[0, epoch] + orders[1, epoch]) == list(range(8))
    assert len({tuple(orders[0, epoch]) for epoch in range(6)}) > 3
    monkeypatch.setattr(packed, 'get_dist_info', lambda: (0, 1))
    mixed = list(ShardSampler(dataset, seed=5, shards_at_once=4))
    assert sorted(mixed) == list(range(8))
    assert any(mixed[i] // 2 != mixed[i + 1] // 2 for i in (0, 2, 4, 6))
    monkeypatch.setattr(packed, 'get_dist_info', lambda: (0, 3))
    assert len(list(ShardSampler(dataset, seed=5))) == 3
    monkeypatch.setattr(packed, 'get_dist_info', lambda: (0, 5))
    with pytest.raises(ValueError, match='4 shards cannot be dealt to 5 processes'):
        ShardSampler(dataset, seed=5)


@pytest.mark.parametrize('end', [0, 300, 700, 3000, -10240])
def test_truncated_shards_are_named(end: int, shards: Path) -> None:
    shard = shards / 'images-2.tar'
    content = shard.read_bytes()
    if end < 0:  # where a member ends: tarfile itself does not notice
        with tarfile.open(shard) as tar:
            end = tar.getmembers()[-1].offset_data + tar.getmembers()[-1].size
            end += -end % 512
    shard.write_bytes(content[:end])
    with pytest.raises(ValueError, match=f"the shard '{shard}' is truncated"):
        TarImages('images-*.tar', str(shards))


def test_shards_that_are_wrong(shards: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no shards match '{shards}/train-"):
        TarImages('train-*.tar', str(shards))
    shard = shards / 'images-1.tar'
    for names, message in (
            (('a.jpg',), "1 of 1 images of the shard '.*' have no label .* the first is '/a'"),
            (('a.jpg', 'a.cls', 'b.cls'), "the first is '/b'"),
            (('a.jpg', 'a.cls', 'c.cls'), 'a label of the shard .* is no number: \'c.cls\'')):
        with tarfile.open(shard, 'w') as tar:
            for name in names:
                add(tar, name, b'1' if name < 'c' else b'cat')
        with pytest.raises(ValueError, match=message):
            TarImages('images-*.tar', str(shards))


def test_corrupt_image_in_a_shard_is_named(shards: Path) -> None:
    with tarfile.open(shards / 'images-0.tar', 'w') as tar:
        add(tar, 'a.jpg', b'no image')
        add(tar, 'a.cls', b'0')
    dataset = DATASETS.build(dict(type='vit_plugin.TarImages', data_root=str(shards),
                                  shards='*.tar', pipeline=PIPELINE))
    with pytest.raises(ValueError, match=r"cannot decode the image '.*images-0.tar/a.jpg'"):
        dataset[0]


@pytest.fixture
def table(image_folder: Path) -> object:
    """The 8 images of the folder as a Hugging Face data set."""
    datasets = pytest.importorskip('datasets')
    images = [dict(bytes=path.read_bytes(), path=path.name)
              for path in sorted(image_folder.glob('*/*.png'))]
    return datasets.Dataset.from_dict(
        dict(picture=images, kind=[0] * 4 + [1] * 4),
        features=datasets.Features(picture=datasets.Image(),
                                   kind=datasets.ClassLabel(names=['dark', 'light'])))


def test_hugging_face_gives_the_samples_of_a_folder(table: object, image_folder: Path,
                                                    tmp_path: Path) -> None:
    table.to_parquet(tmp_path / 'train-0.parquet')
    table.save_to_disk(tmp_path / 'disk')
    common = dict(type='vit_plugin.HuggingFaceImages', image_key='picture', label_key='kind')
    order = dict(type='DefaultSampler', shuffle=True)
    expected = pixels(loader(dict(type='vit_plugin.ImageFolder', data_root=str(image_folder)), 0,
                             order), 3)
    options = dict(data_files=str(tmp_path / '*.parquet'), cache_dir=str(tmp_path / 'cache'))
    for source in (dict(source=str(tmp_path / 'disk')), dict(source='parquet', options=options)):
        for workers in (0, 2):
            one = loader(common | source, workers, order)
            assert torch.equal(pixels(one, 3), expected)
            assert one.dataset.metainfo['classes'] == ('dark', 'light')
    sample = one.dataset.dataset.get_data_info(5)
    assert sample['gt_label'] == 1
    assert np.array_equal(one.dataset.dataset.get_gt_labels(), [0] * 4 + [1] * 4)


def test_hugging_face_data_that_is_wrong(table: object, tmp_path: Path) -> None:
    table.save_to_disk(tmp_path / 'disk')
    with pytest.raises(ValueError, match=r"has no column 'image': set .* \['picture', 'kind'\]"):
        HuggingFaceImages(str(tmp_path / 'disk'))
    (tmp_path / 'bad.parquet').write_bytes(b'no Parquet')
    options = dict(data_files=str(tmp_path / 'bad.parquet'), cache_dir=str(tmp_path / 'cache'))
    with pytest.raises(ValueError, match=r"cannot read the split 'train' .*bad.parquet.*Parquet"):
        HuggingFaceImages('parquet', options=options)
    with pytest.raises(ValueError, match=r"cannot read the split 'val' of the data set '/absent'"):
        HuggingFaceImages('/absent', split='val')


def test_hugging_face_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'datasets', None)
    with pytest.raises(ImportError, match=r"pip install 'vit-plugin\[huggingface\]'"):
        HuggingFaceImages('imagenet-1k')
