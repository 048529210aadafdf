"""Label maps of nothing stop a run before its first iteration."""
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, ConcatDataset, RepeatDataset
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from PIL import Image

from tests.conftest import SIZE
from vit_plugin.checks.findings import raise_and_log
from vit_plugin.checks.label_maps import check_evaluated_maps, check_label_maps, ignored_labels

# The README's own data, and one of mmseg's.
OWN = dict(type='BaseSegDataset', img_suffix='.jpg', seg_map_suffix='.png', metainfo=dict(
    classes=('background', 'cat'), palette=[[0, 0, 0], [230, 120, 40]]))
KINDS = {
    'own': dict(OWN, reduce_zero_label=True),
    'own, 0 is a class': OWN,
    'ADE20K': dict(type='ADE20KDataset'),
    'Cityscapes': dict(type='CityscapesDataset', img_suffix='.jpg', seg_map_suffix='.png'),
    'two of ADE20K': dict(type='ADE20KDataset', metainfo=dict(classes=('wall', 'sky'))),
}


def write_maps(ade: Path, folder: Path, *maps: np.ndarray) -> Path:
    """The tests' images with these label maps in turn."""
    shutil.copytree(ade, folder)
    for i in range(4):
        Image.fromarray(maps[i % len(maps)]).save(folder / f'annotations/{i}.png')
    return folder


def half(left: int, right: int) -> np.ndarray:
    """A map of two values."""
    labels = np.full((SIZE, SIZE), left, np.uint8)
    labels[:, SIZE // 2:] = right
    return labels


def build(kind: str, folder: Path) -> object:
    dataset = KINDS[kind]
    reduce = dataset['type'] == 'ADE20KDataset' or dataset.get('reduce_zero_label', False)
    return DATASETS.build(dict(
        dataset, data_root=str(folder), data_prefix=dict(img_path='images',
                                                         seg_map_path='annotations'),
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='mmseg.LoadAnnotations', reduce_zero_label=reduce)]))


@pytest.fixture
def said(tmp_path: Path) -> Callable[[], str]:
    MMLogger.get_instance(tmp_path.name, log_file=str(tmp_path / 'run.log'))
    return (tmp_path / 'run.log').read_text


@pytest.mark.parametrize(('kind', 'maps', 'values'), [
    ('own', [half(0, 255)], r'\[0, 255\]'),
    ('own', [half(0, 0)], r'\[0\]'),
    ('own', [half(0, 0), half(255, 255)], r'\[0, 255\]'),
    ('own, 0 is a class', [half(255, 255)], r'\[255\]'),
    ('ADE20K', [half(0, 255)], r'\[0, 255\]'),
    ('Cityscapes', [half(255, 255)], r'\[255\]'),
    ('two of ADE20K', [half(2, 4)], r'\[2, 4\]'),
])
def test_maps_of_nothing(kind: str, maps: list[np.ndarray], values: str, ade: Path,
                         tmp_path: Path) -> None:
    """mmseg: loss 0, accuracy 100, mIoU nan."""
    dataset = build(kind, write_maps(ade, tmp_path / 'maps', *maps))
    with pytest.raises(ValueError, match=r'all pixels of all 4 label maps are ignored.*/'
                                         rf"annotations/0\.png'; 4 of .* values {values}") as error:
        raise_and_log(check_label_maps(dataset))
    assert ('0 is no label and 1 the first class' in str(error.value)) == (
        kind not in ('own, 0 is a class', 'Cityscapes'))


@pytest.mark.parametrize('wrap', [
    lambda dataset: ConcatDataset([dataset, dataset]), lambda dataset: RepeatDataset(dataset, 2)])
def test_wrapped_data_sets(wrap: Callable[[object], object], ade: Path, tmp_path: Path) -> None:
    dataset = build('own', write_maps(ade, tmp_path / 'maps', half(0, 255)))
    with pytest.raises(ValueError, match='all 4 label maps are ignored'):
        raise_and_log(check_label_maps(wrap(dataset)))


def test_loading_within_test_time_augmentation(ade: Path, tmp_path: Path) -> None:
    dataset = build('own', write_maps(ade, tmp_path / 'maps', half(0, 255)))
    load = dict(type='mmseg.LoadAnnotations')
    dataset.pipeline = Compose([dict(type='TestTimeAug', transforms=[[load], [
        dict(type='mmseg.PackSegInputs')]])])
    with pytest.raises(ValueError, match='all 4 label maps are ignored'):
        raise_and_log(check_label_maps(dataset))


def test_one_map_with_labels_is_enough(ade: Path, tmp_path: Path, said: Callable[[], str]) -> None:
    """Also one that is not among those which are looked at first."""
    none, some = half(0, 255), half(1, 2)
    dataset = build('own', write_maps(ade, tmp_path / 'maps', none, some, none, none))
    raise_and_log(check_label_maps(dataset, num_maps=2))
    assert "100.0 % of the pixels are ignored in 2 of 4 label maps" in said()
    raise_and_log(check_label_maps(dataset))
    assert "75.0 % of the pixels are ignored in 4 of 4 label maps" in said()


def test_a_single_class_is_warned_of(ade: Path, tmp_path: Path, said: Callable[[], str]) -> None:
    """A mask of 0 and 255 where 0 is a class: nothing but background is learnt."""
    dataset = build('own, 0 is a class', write_maps(ade, tmp_path / 'maps', half(0, 255)))
    raise_and_log(check_label_maps(dataset))
    assert "WARNING - all labelled pixels of these 4 label maps are of one class, 'background'" \
        in said()
    assert 'values [0, 255]' in said()


def test_images_of_another_ending_are_named(ade: Path, tmp_path: Path,
                                            said: Callable[[], str]) -> None:
    folder = write_maps(ade, tmp_path / 'maps', half(1, 2))
    raise_and_log(check_label_maps(build('ADE20K', folder)))
    assert 'passed over' not in said()
    (folder / 'images/0.jpg').rename(folder / 'images/0.JPG')
    (folder / 'images/1.jpg').rename(folder / 'images/1.jpeg')
    raise_and_log(check_label_maps(build('ADE20K', folder)))
    assert ("maps/images': 2 files are passed over: 0.JPG, 1.jpeg. img_suffix='.jpg' of the data "
            'set says') in said()


def test_data_without_maps_passes(image_folder: Path) -> None:
    from mmpretrain.registry import DATASETS
    dataset = DATASETS.build(dict(
        type='vit_plugin.ImageFolder', data_root=str(image_folder),
        pipeline=[dict(type='vit_plugin.LoadImage')]))
    assert check_label_maps(dataset) == []


def test_maps_in_jpeg_are_warned_of(ade: Path, tmp_path: Path, said: Callable[[], str]) -> None:
    """Whatever the name says: 20 and 120 become 19, 21, 119, ..."""
    folder = write_maps(ade, tmp_path / 'ade', half(0, 1))
    assert 'JPEG' not in str(check_label_maps(build('own, 0 is a class', folder)))
    for i in range(2):
        Image.fromarray(half(0, 1)).save(folder / f'annotations/{i}.png', 'JPEG')
    raise_and_log(check_label_maps(build('own, 0 is a class', folder)))
    assert "2 of these label maps, such as '" in said()


@pytest.mark.parametrize(('values', 'wrong'), [
    ((0, 2), []), ((1, 255), []), ((0, 3), [3]), ((9, 44), [9, 44])])
@pytest.mark.parametrize('reduced', [False, True])
def test_evaluated_maps(values: tuple[int, int], wrong: list[int], reduced: bool) -> None:
    """Of three classes; mmseg's metrics give an mIoU without such pixels."""
    sample = SegDataSample(metainfo=dict(seg_map_path='map.png', reduce_zero_label=reduced),
                           gt_sem_seg=PixelData(data=torch.from_numpy(half(*values))[None].long()))
    found = [finding.message for finding in check_evaluated_maps([sample], 3, {255})]
    named = [label + reduced for label in wrong]
    assert len(found) == bool(wrong)
    assert all(f"'map.png' has the label(s) {named}" in message for message in found)


def test_labels_that_somebody_ignores_pass(ade: Path) -> None:
    """The head, the data or the metric: each alone is how some config of mmseg says it."""
    head, data = torch.nn.Module(), build('own, 0 is a class', ade)
    head.ignore_index, data.ignore_index = 7, 8  # type: ignore[assignment]
    metric = type('Metric', (), dict(ignore_index=9))()
    assert ignored_labels(torch.nn.Sequential(head), data, [metric]) == {7, 8, 9, 255}
