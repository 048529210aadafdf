"""Data that is odd trains on; data that is wrong is refused by name."""
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from tests.conftest import ROOT
from tests.dense.shrink import shrunk
from tests.dense.test_inference import DETECTION, SEGMENTATION
from tests.test_configs_dense import build


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
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    one_step(cfg)


def coco_dataset(coco: Path, classes: Any, **more: Any) -> Any:
    """The data set of the COCO configs on the tests' file, whose categories are grey and white."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/detection/coco_instance.py')
    dataset = cfg.train_dataloader.dataset
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
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    one_step(cfg)
