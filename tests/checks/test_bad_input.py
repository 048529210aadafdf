"""Data that is odd trains on; data that is wrong is refused by name."""
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine.registry
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.datasets import LoadAnnotations
from PIL import Image

from tests.cli.test_inference import DETECTION, SEGMENTATION
from tests.conftest import ROOT
from tests.shrink import shrunk
from tests.test_configs_dense import build
from vit_plugin.checks.transforms import CheckLabels


def one_step(cfg: Config) -> None:
    """Loss and gradients of all images in one batch; both are finite."""
    cfg.train_dataloader.batch_size = 4
    cfg.train_dataloader.batch_sampler = None
    model = build(cfg)
    model.init_weights()
    data = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    assert len(data['inputs']) == 4
    loss, _ = model.parse_losses(
        model(**model.data_preprocessor(data, training=True), mode='loss'))
    loss.backward()
    assert loss.isfinite()
    grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)


def without_boxes(content: dict) -> None:
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] != 0]


def one_pixel(content: dict) -> None:
    for a in content['annotations']:
        x, y = a['bbox'][:2]
        a.update(bbox=[x, y, 1, 1], area=1, segmentation=[[x, y, x + 1, y, x + 1, y + 1]])


def empty_mask(content: dict) -> None:
    content['annotations'][2]['segmentation'] = []


def changed(coco: Path, folder: Path, change: Callable[[dict], None]) -> Path:
    shutil.copytree(coco, folder, dirs_exist_ok=True)
    content = json.loads((coco / 'annotations.json').read_text())
    change(content)
    (folder / 'annotations.json').write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize('change', [without_boxes, one_pixel])
def test_odd_annotations_train_on(change: Callable[[dict], None], coco: Path,
                                  tmp_path: Path) -> None:
    cfg = shrunk(DETECTION, changed(coco, tmp_path / 'coco', change))
    cfg.train_dataloader.dataset.dataset.filter_cfg.filter_empty_gt = False
    one_step(cfg)


def coco_dataset(coco: Path, classes: Any, **more: Any) -> Any:
    """The data set of the COCO configs on the tests' file, whose categories are grey and white."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/detection/coco_instance.py')
    dataset = cfg.train_dataloader.dataset.dataset
    assert dataset.type == cfg.val_dataloader.dataset.type == 'vit_plugin.CocoDataset'
    dataset.update(data_root=str(coco), ann_file='annotations.json', pipeline=[],
                   data_prefix=dict(img='images/'), metainfo=dict(classes=classes), **more)
    return DATASETS.build(dataset)


def unknown_category(content: dict) -> None:
    content['annotations'][5]['category_id'] = 7


def test_unknown_category_is_refused(coco: Path, tmp_path: Path) -> None:
    """mmdet passes over such annotations without a word."""
    folder = changed(coco, tmp_path / 'coco', unknown_category)
    with pytest.raises(ValueError, match=r"annotation 6 of the image '2\.png' in '.*/coco/annot"
                                         r"ations\.json' has the category_id 7.*categories 1, 2: "):
        coco_dataset(folder, ('grey', 'white'))


@pytest.mark.parametrize(('classes', 'message'), [
    (('grey', 'whyte'), r"1 of 2 classes are not in '.*annotations\.json': whyte\. Its categories "
                        r'are grey, white\.'),
    (('white', 'grey'), r"must be in the order.*\('white', 'grey'\), but .* \('grey', 'white'\)"),
    ('grey', r"classes='grey' is a string: write metainfo=dict\(classes=\('grey', \)\)"),
    (CocoDataset.METAINFO['classes'], r'80 of 80 classes are not in .*: person, bicycle, .*'
                                      r'Set metainfo=dict\(classes=\.\.\.\)'),
], ids=['misspelt', 'order', 'string', 'default'])
def test_classes_that_do_not_fit_are_refused(classes: Any, message: str, coco: Path) -> None:
    """mmdet trains on what is left, or gives predictions wrong names."""
    with pytest.raises(ValueError, match=message):
        coco_dataset(coco, classes)


def test_images_that_are_missing_are_named_before_training(coco: Path, tmp_path: Path) -> None:
    def lose(content: dict) -> None:
        content['images'][1]['file_name'] = 'lost.png'
    with pytest.raises(ValueError, match=r"1 of 4 images in '.*annotations\.json' are not on the "
                                         r"disk, the first is '.*/images/lost\.png': correct"):
        coco_dataset(changed(coco, tmp_path / 'coco', lose), ('grey', 'white'))


def test_a_part_of_the_categories_trains(coco: Path) -> None:
    dataset = coco_dataset(coco, ('white', ))
    assert len(dataset) == 4
    for i in range(4):
        boxes = dataset.get_data_info(i)['instances']
        assert [(box['bbox_label'], box['bbox']) for box in boxes] == [(0, [36, 30, 56, 50])]


def test_empty_mask_is_refused_with_the_images_name(coco: Path, tmp_path: Path) -> None:
    """mmdet's own error is KeyError: 'mask'."""
    cfg = shrunk(DETECTION, changed(coco, tmp_path / 'coco', empty_mask))
    with pytest.raises(ValueError, match=r"\[4, 6, 20, 20\].*images/1\.png' has an empty segm"):
        one_step(cfg)


def test_images_of_very_different_sizes_in_a_batch(coco: Path, ade: Path, tmp_path: Path) -> None:
    sizes = [(40, 300), (200, 33), (64, 64), (90, 70)]

    def resize(content: dict) -> None:
        for entry, (width, height) in zip(content['images'], sizes):
            entry.update(width=width, height=height)
    folder = changed(coco, tmp_path / 'coco', resize)
    shutil.copytree(ade, tmp_path / 'ade')
    for i, size in enumerate(sizes):
        for path in (folder / f'images/{i}.png', tmp_path / f'ade/images/{i}.jpg',
                     tmp_path / f'ade/annotations/{i}.png'):
            Image.open(path).resize(size, Image.Resampling.NEAREST).save(path)
    one_step(shrunk(DETECTION, folder))
    one_step(shrunk(SEGMENTATION, tmp_path / 'ade'))


def fill_labels(ade: Path, folder: Path, value: int) -> Config:
    shutil.copytree(ade, folder)
    Image.fromarray(np.full((64, 64), value, np.uint8)).save(folder / 'annotations/2.png')
    return shrunk(SEGMENTATION, folder)


@pytest.mark.parametrize('value', [0, 255])
def test_label_map_without_labels_trains_on(value: int, ade: Path, tmp_path: Path) -> None:
    one_step(fill_labels(ade, tmp_path / 'ade', value))


def test_label_out_of_range_is_refused_with_the_files_name(ade: Path, tmp_path: Path) -> None:
    """mmseg's own errors are an index out of bounds, or a device-side assertion."""
    with pytest.raises(ValueError, match=r'annotations/2\.png.*label\(s\) \[151\], but the model '
                                         r'has 150 classes: 1 \.\.\. 150'):
        one_step(fill_labels(ade, tmp_path / 'ade', 151))


@pytest.mark.parametrize(('array', 'name', 'message'), [
    (np.uint16(300), 'png', r'\[300\] in 16 bits, which are read as \[44\]'),
    (np.int32(70000), 'tif', r'\[70000\] in 32 bits, which are read as \[112\]'),
    (np.float32(1.5), 'tif', r'\[1\.5\] in 32 bits, which are read as \[1\]'),
], ids=['16', '32', 'float'])
@pytest.mark.parametrize('num_classes', [150, 400, None])
def test_labels_of_more_than_8_bits_are_refused(
        array: np.generic, name: str, message: str, num_classes: int | None,
        tmp_path: Path) -> None:
    """mmseg's 8 bits make another label of them."""
    path = tmp_path / f'map.{name}'
    Image.fromarray(np.full((8, 8), array)).save(path)
    with pytest.raises(ValueError, match=rf"map\.{name}' holds the value\(s\) {message}: save it"):
        read_labels(path, num_classes)


@pytest.mark.parametrize('bits', [2, 4])
def test_labels_of_few_bits_are_refused(bits: int, tmp_path: Path) -> None:
    """Pillow stretches grey ones over 0 ... 255; a palette's are right."""
    labels = np.tile(np.arange(4, dtype=np.uint8), (8, 2))
    image = Image.fromarray(labels).convert('P')
    image.putpalette(range(3 * 2**bits))
    image.save(tmp_path / 'palette.png', bits=bits)
    assert (read_labels(tmp_path / 'palette.png', 4) == labels).all()
    path = tmp_path / 'map.png'
    path.write_bytes(grey_from_palette((tmp_path / 'palette.png').read_bytes()))
    read = 255 // (2**bits - 1), 2 * (255 // (2**bits - 1))
    with pytest.raises(ValueError, match=rf"holds the value\(s\) \[1, 2.*\] in {bits} bits, which "
                                         rf'are read as \[{read[0]}, {read[1]}'):
        read_labels(path, 150)


def grey_from_palette(content: bytes) -> bytes:
    """The same PNG, whose pixels are grey values instead of numbers in a palette."""
    chunks, position = [content[:8]], 8
    while position < len(content):
        size = int.from_bytes(content[position:position + 4], 'big')
        kind = content[position + 4:position + 8]
        data = content[position + 8:position + 8 + size]
        if kind == b'IHDR':
            data = data[:9] + b'\0' + data[10:]
        if kind != b'PLTE':
            chunks.append(size.to_bytes(4, 'big') + kind + data
                          + zlib.crc32(kind + data).to_bytes(4, 'big'))
        position += 12 + size
    return b''.join(chunks)


@pytest.mark.parametrize('array', [
    np.uint16([[0, 1], [2, 3]]), np.uint16([[0, 1], [2, 65535]]), np.int32([[0, 1], [2, -1]]),
    np.array([[False, True], [True, False]])], ids=['16 bits', '65535', '-1', '1 bit'])
def test_labels_that_fit_into_8_bits_are_right(array: np.ndarray, tmp_path: Path) -> None:
    """Whatever the file's bits; 65535 and -1 are usual for pixels without a label."""
    Image.fromarray(array).save(tmp_path / 'map.tif')
    expected = np.where(array.astype(int) % 65536 == 65535, 255, array)
    assert (read_labels(tmp_path / 'map.tif', 4) == expected).all()


def read_labels(path: Path, num_classes: int | None) -> np.ndarray:
    """The map as mmseg reads it, if it is right."""
    results = dict(seg_map_path=str(path), reduce_zero_label=False, seg_fields=[])
    return CheckLabels(num_classes)(LoadAnnotations()(results))['gt_seg_map']


def test_labels_are_checked_in_evaluation_too(ade: Path, tmp_path: Path) -> None:
    """There the image is resized before its map is loaded; the inferencers load none."""
    cfg = fill_labels(ade, tmp_path / 'ade', 1)
    Image.fromarray(np.full((64, 64), 300, np.uint16)).save(tmp_path / 'ade/annotations/3.png')
    dataset = cfg.val_dataloader.dataset
    dataset.pipeline[1].update(scale=(32, 32))
    init_default_scope('mmseg')
    dataset = mmengine.registry.DATASETS.build(dataset)
    assert dataset[0]['data_samples'].gt_sem_seg.shape == (64, 64)
    with pytest.raises(ValueError, match=r'annotations/3\.png.* \[300\] in 16 bits'):
        dataset[3]
    assert CheckLabels()(dict(img=0)) == dict(img=0)


def test_coloured_label_map_is_refused_with_the_files_name(ade: Path, tmp_path: Path) -> None:
    cfg = fill_labels(ade, tmp_path / 'ade', 1)
    Image.new('RGB', (64, 64)).save(tmp_path / 'ade/annotations/2.png')
    with pytest.raises(ValueError, match=r"annotations/2\.png' is a colour image.*one channel"):
        one_step(cfg)


def test_label_map_of_another_size_is_refused_with_both_names(ade: Path, tmp_path: Path) -> None:
    """mmseg's own error is that of torch.stack, or none."""
    cfg = fill_labels(ade, tmp_path / 'ade', 1)
    Image.new('L', (32, 64)).save(tmp_path / 'ade/annotations/2.png')
    with pytest.raises(ValueError, match=r"annotations/2\.png' has \(64, 32\) pixels .*images/2\."
                                         r"jpg' has \(64, 64\): they must be the same"):
        one_step(cfg)


def test_a_batch_without_any_box(coco: Path, tmp_path: Path) -> None:
    def clear(content: dict[str, Any]) -> None:
        content['annotations'] = []
    cfg = shrunk(DETECTION, changed(coco, tmp_path / 'coco', clear))
    cfg.train_dataloader.dataset.dataset.filter_cfg.filter_empty_gt = False
    one_step(cfg)
