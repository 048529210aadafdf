"""Images in tar shards, Arrow and Parquet: the samples of a folder, and clear errors."""
import io
import pickle
import tarfile
from pathlib import Path

import mmpretrain  # noqa: F401, whose data sets the plugin's are
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.runner import Runner

from tests.training.test_sampling import pixels
from vit_plugin.data import packed
from vit_plugin.data.packed import ShardSampler, TarImages
from vit_plugin.errors import UserError
from vit_plugin.registry import DATASETS
from vit_plugin.training.sampling import SeededDataset

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
    loaders = [loader(tar, workers, dict(type=sampler)) for workers in (0, 1, 2)]
    found = [pixels(one, 3) for one in loaders]
    assert all(torch.equal(one, found[0]) for one in found)
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
    for damaged in ('{', '[]', 'null', '{"stamp": []}'):
        (shards / 'images-0.tar.index.json').write_text(damaged)
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


@pytest.mark.parametrize('seeded', [False, True])
def test_shard_sampler_of_other_data_sets(shards: Path, seeded: bool) -> None:
    """A repeated data set is no `TarImages`: its first pass alone would be drawn."""
    tar = TarImages('images-*.tar', str(shards))
    for other in (RepeatDataset(tar, 2), ConcatDataset([tar, tar]), [0]):
        with pytest.raises(UserError, match=rf'ShardSampler .* TarImages, got a '
                                            rf'{type(other).__name__}: .*shards=\[.*\]'):
            ShardSampler(SeededDataset(other) if seeded else other)


def test_several_patterns(shards: Path) -> None:
    dataset = TarImages(['images-[01].tar', 'images-1.tar', 'images-3.tar'], str(shards))
    assert [Path(path).name for path in dataset.shards] == [
        f'images-{i}.tar' for i in (0, 1, 3)]
    with pytest.raises(FileNotFoundError, match=f"no shards match '{shards}/more-"):
        TarImages(['images-*.tar', 'more-*.tar'], str(shards))
    with pytest.raises(UserError, match='has no shards'):
        TarImages([], str(shards))


def test_folder_named_like_a_pattern(shards: Path) -> None:
    folder = shards / 'sh [1]*'
    folder.mkdir()
    (shards / 'images-2.tar').rename(folder / 'images-2.tar')
    assert TarImages('*.tar', str(folder)).shards == [str(folder / 'images-2.tar')]


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


@pytest.mark.parametrize(('members', 'message'), [
    ('a.jpg', "1 of 1 images of the shard '.*' have no label .* the first key is 'a'"),
    ('a.jpg a.cls b/b.cls', "1 of 2 labels of the shard '.*' have no image .* key is 'b/b'"),
    ('a.jpg a.cls a.jpg', "has the key 'a' twice"), ('a.jpg a.png a.cls', "the key 'a' twice"),
    ('', "the shard '.*' holds no images"), ('a.json', 'holds no images'),
    ('a.jpg a.cls=2', r"a.jpg' has the label 2, which .* below 2, or one of 'dark', 'light'"),
    ('a.jpg a.cls=-1', 'the label -1'), ('a.jpg a.cls=cat', "the label 'cat', which should be")])
def test_shards_that_are_wrong(members: str, message: str, shards: Path) -> None:
    with tarfile.open(shards / 'images-1.tar', 'w') as tar:
        for member in members.split():
            name, _, content = member.partition('=')
            add(tar, name, content.encode() or b'1')
    with pytest.raises(ValueError, match=message):
        TarImages('images-*.tar', str(shards), classes=['dark', 'light'])


def test_files_that_are_no_shards(shards: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no shards match '{shards}/train-"):
        TarImages('train-*.tar', str(shards))
    with tarfile.open(shards / 'images-1.tar', 'w:gz') as tar:
        add(tar, 'a.jpg', b'')
    with pytest.raises(ValueError, match=r'truncated, compressed or no tar file .* a plain tar'):
        TarImages('images-*', str(shards))


def test_labels_are_numbers_or_names(shards: Path) -> None:
    with tarfile.open(shards / 'images-1.tar', 'w') as tar:
        for name, label in (('a', b'light'), ('b', b'0')):
            add(tar, f'{name}.JPG', b'image')
            add(tar, f'{name}.cls', label)
    dataset = TarImages('images-*', str(shards), classes=['dark', 'light'])
    assert [dataset.get_data_info(i)['gt_label'] for i in (2, 3)] == [1, 0]
    with pytest.raises(ValueError, match=r"the label 'light', .* a name that classes=\[...\]"):
        TarImages('images-*', str(shards))  # without the indexes, which match too


def test_shards_of_webdataset(image_folder: Path, tmp_path: Path) -> None:
    """Written by the library's own writer; keys begin anew in each of two runs of it."""
    webdataset = pytest.importorskip('webdataset')
    images = sorted(image_folder.glob('*/*.png'))
    for part in range(2):
        writer = webdataset.ShardWriter(str(tmp_path / f'{part}-%02d.tar'), maxcount=3, verbose=0)
        for i in range(4):
            path = images[4 * part + i]
            writer.write(dict(__key__=f'x/{i:04}', png=path.read_bytes(), cls=part,
                              json=dict(file=path.name)))
        writer.close()
    dataset = TarImages('*.tar', str(tmp_path))
    assert len(dataset.shards) == 4
    assert [dataset.read(dataset.get_data_info(i)) for i in range(8)] == [
        path.read_bytes() for path in images]
    assert dataset.get_gt_labels().tolist() == [0] * 4 + [1] * 4


def test_corrupt_images_in_shards_are_passed_over(shards: Path) -> None:
    with tarfile.open(shards / 'images-0.tar', 'w') as tar:
        for name in 'ab':
            add(tar, f'{name}.jpg', b'no image')
            add(tar, f'{name}.cls', b'0')

    def samples(limit: int) -> list[str]:
        load = dict(PIPELINE[0], max_corrupt=limit)
        dataset = DATASETS.build(dict(type='vit_plugin.TarImages', data_root=str(shards),
                                      shards='*.tar', pipeline=[load, PIPELINE[1]]))
        return [dataset[i]['data_samples'].img_path for i in range(8)]
    assert not any('images-0' in path for path in samples(2))
    with pytest.raises(ValueError, match=r"cannot decode the image '.*images-0.tar/[ab].jpg'.*; 2 "
                                         'corrupt images are more than max_corrupt=1'):
        samples(1)
