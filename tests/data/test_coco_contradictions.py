"""COCO files that contradict themselves, their images or the evaluator: right, or refused."""
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmdet.evaluation import CocoMetric, CocoVideoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from PIL import Image

from tests.data.coco_content import (
    CLASSES,
    POLYGONS,
    Content,
    evaluate,
    read,
    whole_content,
    write,
)
from vit_plugin.checks.evaluator import check_evaluator
from vit_plugin.data.coco import CocoDataset
from vit_plugin.errors import UserError

Change = Callable[[Content], object]


@pytest.fixture
def whole(tmp_path: Path) -> Content:
    return whole_content(tmp_path)


@pytest.fixture
def said(tmp_path: Path) -> Callable[[], str]:
    """What is logged."""
    MMLogger.get_instance(tmp_path.name, log_file=str(tmp_path / 'data.log'))
    return (tmp_path / 'data.log').read_text


def set_ids(part: str, key: str, ids: list) -> Change:
    def change(content: Content) -> None:
        for entry, value in zip(content[part], ids):
            entry[key] = value
    return change


def update(part: str, **values: Any) -> Change:
    return lambda content: content[part][1].update(values)


def as_text(content: Content) -> None:
    """All numbers of the second image and of its object as a spreadsheet exports them."""
    for part in ('images', 'annotations'):
        entry = content[part][1]
        for key, value in entry.items():
            if isinstance(value, int):
                entry[key] = str(value)
    annotation = content['annotations'][1]
    annotation['bbox'] = [str(value) for value in annotation['bbox']]
    annotation['segmentation'] = [[str(value) for value in POLYGONS[1][0]]]


@pytest.mark.parametrize(('change', 'message'), [
    (set_ids('annotations', 'id', [0, 1, 2]), r'annotation ids, numbered anew from 1 \(3\)'),
    (set_ids('annotations', 'id', [7, 7, 8]), 'annotation ids, numbered anew'),
    (set_ids('annotations', 'id', ['a', 'b', 'c']), 'annotation ids, numbered anew'),
    (set_ids('images', 'id', ['0', 1, 2]), r'ids written as text \(1\)'),
    (set_ids('annotations', 'image_id', ['0', '1', '2']), r'ids written as text \(3\)'),
    (set_ids('categories', 'id', ['1', '2']), 'ids written as text'),
    (as_text, 'numbers written as text'),
    (update('annotations', segmentation=POLYGONS[1][0]), 'polygons without their list'),
    (update('annotations', segmentation=[[1, 2, 3, 4], *POLYGONS[1], [1, 2, 3, 4, 5, 6, 7]]),
     r'polygons removed, without three points \(2\)'),
    (update('annotations', bbox=[50, 50, -40, -40]), 'taken from the mask'),
    (update('annotations', bbox=[10, 10, float('nan'), 40]), 'taken from the mask'),
    (update('annotations', area=float('nan')), ''),
])
def test_what_has_one_right_reading_is_corrected(change: Change, message: str, whole: Content,
                                                 tmp_path: Path, said: Callable[[], str]) -> None:
    """Stock: an mAP of less than 1, objects that vanish, KeyError or TypeError."""
    expected = read(whole, tmp_path)
    content = json.loads(json.dumps(whole))
    change(content)
    found = read(content, tmp_path)
    assert [sample['instances'] for sample in found] == [
        sample['instances'] for sample in expected]
    assert all(sample['width'] == 80 for sample in found)
    metric = METRICS.build(dict(type='vit_plugin.CocoMetric', ann_file=write(content, tmp_path),
                                metric=['bbox', 'segm']))
    scores = evaluate(metric, whole, moved=0.)
    assert scores['bbox_mAP'] == scores['segm_mAP'] == 1
    assert re.search(message and 'corrected: .*' + message, said())


def normalise(content: Content) -> None:
    for annotation in content['annotations']:
        annotation['bbox'] = [value / 100 for value in annotation['bbox']]


def as_corners(content: Content) -> None:
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        annotation['bbox'] = [x, y, x + width, y + height]


@pytest.mark.parametrize(('change', 'message'), [
    (set_ids('images', 'id', [0, 0, 2]),
     r"1 of the images in '.*json' have the id of others: 0 of '0\.png' and '1\.png'"),
    (set_ids('images', 'id', ['1', 1, 2]), r"1 of '0\.png' and '1\.png'"),
    (set_ids('categories', 'id', [1, 1]), "the categories .* 1 of 'grey' and 'white'"),
    (normalise, r'all 3 boxes .* lie in 0 \.\.\. 1, the first is \[0\.05, .* in pixels'),
    (update('annotations', bbox=[1, 2, 3]),
     r'annotation 2 of the image with id 1 .*bbox=\[1, 2, 3\]'),
    (update('annotations', bbox=[1, 2, 3, 'wide']), r"bbox=\[1, 2, 3, 'wide'\], .* four numbers"),
    (update('annotations', bbox=dict(x=1)), "bbox={'x': 1}"),
    (update('annotations', image_id=[1]), r'annotations\[1\] .* has image_id=\[1\]'),
    (lambda content: content['annotations'].append('x'), r"annotations\[3\] in .* is 'x'"),
    (lambda content: content.update(images={}), 'has no images: it must be'),
    (update('annotations', bbox=None, segmentation=[[]]), 'annotation 2 .* has neither bbox nor'),
    (update('annotations', segmentation=dict(size=[80, 65], counts=[0, 5, 5195])),
     r"1 masks .* another size than their images \(1\.png\): 'size' must be \[height, width\]"),
    (update('images', width=65, height=80),
     r"1 of 3 images have another width and height .*1\.png' 65x80 \(the image: 80x65\)"),
])
def test_contradictions_are_refused(change: Change, message: str, whole: Content,
                                    tmp_path: Path) -> None:
    change(whole)
    with pytest.raises(UserError, match=message):
        read(whole, tmp_path)


@pytest.mark.parametrize(('content', 'message'), [
    (b'{"images": [', 'is no JSON, or truncated'), (b'[]', 'has no images: it must be'),
    (b'\xff\xfe', 'is no JSON')])
def test_files_that_are_no_coco_files(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / 'file.json').write_bytes(content)
    with pytest.raises(UserError, match=message):
        METRICS.build(dict(type='vit_plugin.CocoMetric', ann_file=str(tmp_path / 'file.json')))


def test_byte_order_mark(whole: Content, tmp_path: Path) -> None:
    expected = read(whole, tmp_path)
    (tmp_path / 'file.json').write_text(json.dumps(whole), encoding='utf-8-sig')
    assert read(whole, tmp_path, ann_file=str(tmp_path / 'file.json')) == expected


@pytest.mark.parametrize(('change', 'left', 'message'), [
    (update('annotations', bbox=[10, 10, .5, 40]), [1, 0, 1],
     r"1 of 3 objects .* are passed over, .* narrower than a pixel \(1\.png\)"),
    (update('annotations', bbox=[90, 10, 40, 40]), [1, 0, 1], '1 of 3 objects .* passed over'),
    (update('annotations', bbox=[10, 10, -4, 4], segmentation=[]), [1, 0, 1],
     r'objects removed, with a box of negative size or NaN and no mask \(1\)'),
    (update('annotations', image_id=9), [1, 0, 1],
     r'1 annotations .* passed over: their image_id is that of no image \(annotations 2\)'),
    (update('annotations', segmentation=[[1, 2, 3, 4]]), [1, 1, 1],
     r'masks without three points, whose objects are ignored where masks are learnt \(1\)'),
    (as_corners, [1, 1, 1], '1 of 3 objects .* reach more than a pixel beyond their images'),
])
def test_what_is_dropped_is_counted(change: Change, left: list[int], message: str, whole: Content,
                                    tmp_path: Path, said: Callable[[], str]) -> None:
    change(whole)
    assert [len(sample['instances']) for sample in read(whole, tmp_path)] == left
    assert re.search(message, said())


def test_no_object_is_left(whole: Content, tmp_path: Path) -> None:
    for annotation in whole['annotations']:
        annotation['bbox'] = [500, 500, 20, 20]
    with pytest.raises(UserError, match=r'none of the 3 objects .* is left'):
        read(whole, tmp_path)
    for annotation in whole['annotations']:
        annotation.update(ignore=True)  # on purpose
    assert len(read(whole, tmp_path)) == 3


def test_pipe_in_place_of_an_image(whole: Content, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    whole['images'][1]['file_name'] = 'pipe'
    with pytest.raises(UserError, match=r"1 of 3 images .* are not on the disk, .*pipe'"):
        read(whole, tmp_path)


def test_one_image_twice(whole: Content, tmp_path: Path) -> None:
    """Nothing gets lost: pycocotools keeps one of the equal entries."""
    expected = read(whole, tmp_path)
    whole['images'].append(dict(whole['images'][1]))
    assert read(whole, tmp_path) == expected


@pytest.mark.parametrize('load', [[], [dict(type='vit_plugin.LoadImage')]])
def test_turned_images(load: list, whole: Content, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (80, 64)).save(tmp_path / '0.png', exif=exif)
    with pytest.raises(UserError, match=r"1 of 3 .*0\.png' 80x64 \(the image: 64x80\).*EXIF"):
        read(whole, tmp_path, pipeline=load)
    as_it_lies = dict(type='LoadImageFromFile', color_type='color_ignore_orientation')
    assert len(read(whole, tmp_path, pipeline=[as_it_lies])) == 3


def evaluator(whole: Content, folder: Path, change: Change, kind: str = 'vit_plugin.CocoMetric'
              ) -> CocoMetric:
    content = json.loads(json.dumps(whole))
    change(content)
    return METRICS.build(dict(type=kind, ann_file=write(content, folder, 'evaluator.json')))


def dataset_of(whole: Content, folder: Path, **options: Any) -> CocoDataset:
    return CocoDataset(data_root=str(folder), ann_file=write(whole, folder), pipeline=[],
                       data_prefix=dict(img=''), metainfo=dict(classes=CLASSES), **options)


def test_evaluator_of_other_images(whole: Content, tmp_path: Path) -> None:
    dataset = dataset_of(whole, tmp_path)

    def messages(change: Change, kind: str = 'vit_plugin.CocoMetric') -> list[str]:
        metric = evaluator(whole, tmp_path, change, kind)
        return [finding.message for finding in check_evaluator(metric, dataset)]
    prefixed = set_ids('images', 'file_name', ['val/0.jpg', 'val/1.png', '2.png'])
    assert messages(prefixed) == []
    found = messages(set_ids('images', 'file_name', ['0.png', 'other.png', '2.png']))
    assert len(found) == 1
    assert re.search(r"1 of 3 images .* '1\.png' \(its id 1 is there 'other\.png'\)", found[0])
    found = messages(lambda content: content['images'].pop())
    assert re.search(r"'2\.png' \(no image has its id 2\)", found[0])
    found = messages(set_ids('annotations', 'id', [0, 1, 2]), 'CocoMetric')
    assert re.search("annotation with the id 0, .*use type='vit_plugin.CocoMetric'", found[0])
    assert messages(set_ids('annotations', 'id', [0, 1, 2])) == []
    part = dataset_of(whole, tmp_path, indices=2)
    [finding] = check_evaluator(evaluator(whole, tmp_path, lambda content: None), part)
    assert re.search('has 3 images, the data 2', finding.message)


def test_evaluator_without_a_file(whole: Content, tmp_path: Path) -> None:
    """mmdet: an AssertionError after the first epoch."""
    dataset = dataset_of(whole, tmp_path)
    metric = METRICS.build(dict(type='vit_plugin.CocoMetric'))
    [finding] = check_evaluator(metric, dataset)
    assert 'the evaluator has no ann_file' in finding.message
    dataset.pipeline.transforms.append(SimpleNamespace(meta_keys=('instances', )))
    assert check_evaluator(metric, dataset) == []
    dataset.pipeline.transforms.clear()
    assert check_evaluator(CocoVideoMetric(), dataset) == []  # a subclass with files of its own


def test_evaluated_image_that_is_not_in_the_file(whole: Content, tmp_path: Path) -> None:
    metric = evaluator(whole, tmp_path, lambda content: content['images'].pop())
    with pytest.raises(UserError, match=r'no image in ann_file .* has the id 2'):
        evaluate(metric, whole)


def test_masks_that_cannot_be_evaluated(whole: Content, tmp_path: Path) -> None:
    """pycocotools takes four numbers for a box, and fails on other ones."""
    whole['annotations'][1]['segmentation'] = [[1, 2, 3, 4]]
    with pytest.raises(UserError, match=r'1 objects in .* have no mask, .*: annotations 2\.'):
        METRICS.build(dict(type='vit_plugin.CocoMetric', ann_file=write(whole, tmp_path),
                           metric='segm'))
