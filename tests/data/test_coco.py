"""COCO files that lack what follows from the rest train and evaluate as whole ones do."""
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from PIL import Image
from pycocotools import mask as masks

from tests.data.coco_content import (
    AREAS,
    BOXES,
    POLYGONS,
    Content,
    evaluate,
    read,
    whole_content,
    write,
)
from vit_plugin.data.coco_fields import fill_in, repair_object


@pytest.fixture
def whole(tmp_path: Path) -> Content:
    """A file with everything; its images lie beside it."""
    return whole_content(tmp_path)


def drop(part: str, *keys: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for entry in content[part]:
            for key in keys:
                del entry[key]
    return change


def empty(content: Content) -> None:
    for annotation in content['annotations']:
        annotation.update(area=0, iscrowd=None)
    for image in content['images']:
        image.update(height=None, width=0)


def everything(content: Content) -> None:
    drop('annotations', 'area', 'iscrowd', 'bbox')(content)
    drop('images', 'height', 'width')(content)


def compressed(content: Content) -> None:
    """The masks as bits, and nothing but them."""
    for annotation, image in zip(content['annotations'], content['images']):
        rle = masks.merge(masks.frPyObjects(annotation['segmentation'], image['height'],
                                            image['width']))
        annotation['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())


def uncompressed(content: Content) -> None:
    compressed(content)
    for annotation in content['annotations']:
        bits = masks.decode(annotation['segmentation']).ravel(order='F')
        ends = np.flatnonzero(np.diff(bits)) + 1
        counts = np.diff([0, *ends, bits.size]).tolist()
        annotation['segmentation']['counts'] = counts


@pytest.mark.parametrize('change', [
    drop('annotations', 'area'), drop('annotations', 'iscrowd'), drop('annotations', 'bbox'),
    drop('images', 'height'), drop('images', 'width'), empty, everything],
    ids=['area', 'iscrowd', 'bbox', 'height', 'width', 'empty', 'all'])
def test_what_follows_from_the_rest_is_filled_in(change: Callable[[Content], None], whole: Content,
                                                 tmp_path: Path) -> None:
    """mmdet: KeyError, or annotations of area 0 are passed over."""
    expected = read(whole, tmp_path)
    assert [len(sample['instances']) for sample in expected] == [1, 1, 1]
    change(whole)
    assert read(whole, tmp_path) == expected


SQUARE = masks.frPyObjects(POLYGONS[0], 64, 80)[0]
RUNS = [5 * 64 + 5, *(30, 34) * 29, 30, 64 * 80 - 34 * 64 - 35]


@pytest.mark.parametrize(('given', 'box', 'area'), [
    *((dict(segmentation=polygons), box, area)
      for polygons, box, area in zip(POLYGONS, BOXES, AREAS)),
    (dict(segmentation=POLYGONS[1][0]), BOXES[1], AREAS[1]),
    (dict(segmentation=SQUARE), BOXES[0], AREAS[0]),
    (dict(segmentation=dict(size=[64, 80], counts=RUNS)), BOXES[0], AREAS[0]),
    (dict(bbox=[3, 4, 5, 6]), [3, 4, 5, 6], 30),
    (dict(bbox=[3, 4, 5, 6], area=0, segmentation=[[3, 4, 8, 4]]), [3, 4, 5, 6], 30),
], ids=['square', 'triangle', 'parts', 'flat', 'compressed', 'runs', 'box', 'line'])
def test_boxes_and_areas(given: Content, box: list[float], area: float) -> None:
    given['id'] = 1
    assert repair_object(given, Counter())
    fill_in(given, 'file.json')
    assert given == dict(given, bbox=box, area=area, iscrowd=0)


def test_the_log_counts_what_was_filled_in(whole: Content, tmp_path: Path) -> None:
    MMLogger.get_instance(tmp_path.name, log_file=str(tmp_path / 'data.log'))
    log = (tmp_path / 'data.log').read_text
    read(whole, tmp_path)
    assert 'filled in' not in log()
    everything(whole)
    read(whole, tmp_path)
    for part in ('height, width of 3 images', 'iscrowd, bbox, area of 3 annotations'):
        assert f"changed.json': filled in what it lacks: {part}" in log()


def test_turned_images_have_the_size_that_they_are_loaded_with(whole: Content,
                                                               tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (64, 80)).save(tmp_path / '0.png', exif=exif)
    expected = read(whole, tmp_path)
    drop('images', 'height', 'width')(whole)
    assert read(whole, tmp_path) == expected


def lose(part: str, key: str) -> Callable[[Content], None]:
    return lambda content: content[part][1].pop(key)


def lose_box_and_mask(content: Content) -> None:
    content['annotations'][1].update(bbox=None, segmentation=[])


def lose_size_and_image(content: Content) -> None:
    content['images'][1].update(file_name='changed.json', height=None)


@pytest.mark.parametrize(('change', 'message'), [
    (lose('annotations', 'category_id'), r"annotations\[1\] in '.*json' has no category_id"),
    (lose('annotations', 'id'), r"annotations\[1\] in '.*json' has no id"),
    (lose('annotations', 'image_id'), r"annotations\[1\] in '.*json' has no image_id"),
    (lose('images', 'file_name'), r"images\[1\] in '.*json' has no file_name"),
    (lose('categories', 'name'), r"categories\[1\] in '.*json' has no name"),
    (lambda content: content.pop('images'), r"'.*json' has no images"),
    (lose_box_and_mask, r"annotation 2 in '.*json' has neither bbox nor segmentation"),
    (lose_size_and_image, r"image '.*changed\.json' has no height in '.*json', and cannot be "
                          r'read to find out \(UnidentifiedImageError'),
])
def test_what_does_not_follow_is_named(change: Callable[[Content], object], message: str,
                                       whole: Content, tmp_path: Path) -> None:
    change(whole)
    with pytest.raises(ValueError, match=message):
        read(whole, tmp_path)


@pytest.mark.parametrize('change', [everything, empty, compressed, uncompressed],
                         ids=['absent', 'empty', 'compressed', 'uncompressed'])
def test_evaluates_as_mmdets_metric_on_the_whole_file(change: Callable[[Content], None],
                                                      whole: Content, tmp_path: Path) -> None:
    """Average precision by area tells whether areas are right; mmdet's: KeyError."""
    expected = evaluate(CocoMetric(write(whole, tmp_path, 'whole.json'), ['bbox', 'segm']), whole)
    assert expected['segm_mAP_s'] == 1
    assert np.isnan(expected['segm_mAP_m']) or expected['segm_mAP_m'] == -1
    content = json.loads(json.dumps(whole))
    change(content)
    if 'press' in change.__name__:
        drop('annotations', 'area', 'iscrowd')(content)
        drop('images', 'height', 'width')(content)
    metric = METRICS.build(dict(type='vit_plugin.CocoMetric', ann_file=write(content, tmp_path),
                                metric=['bbox', 'segm', 'proposal_fast']))
    found = evaluate(metric, whole)
    assert {key: found[key] for key in expected} == expected


def test_evaluation_names_an_image_of_unknown_size(whole: Content, tmp_path: Path) -> None:
    everything(whole)
    metric = METRICS.build(dict(type='vit_plugin.CocoMetric', ann_file=write(whole, tmp_path),
                                metric='segm'))
    for image, size in zip(whole['images'], (64, 65, 66)):
        image.update(height=size, width=80)
    for annotation, box in zip(whole['annotations'], BOXES):
        annotation['bbox'] = box
    whole['images'].pop()
    with pytest.raises(ValueError, match=r"the image '2\.png' has no height or width"):
        evaluate(metric, whole)
