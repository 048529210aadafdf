"""Predictions and ground truth of the three tasks: what is drawn where, in which colour."""
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image

from tests.conftest import ROOT, SIZE
from tests.pictured import MakeConfig
from vit_plugin.pictures import predictions
from vit_plugin.pictures.subject import PictureError, Subject, load_subject

pytestmark = pytest.mark.usefixtures('no_window')


def load(path: Path) -> Subject:
    return load_subject(Config.fromfile(path), path.stem, None)


def test_a_view_is_what_the_model_and_the_reader_see(pictured: MakeConfig,
                                                     tmp_path: Path) -> None:
    subject = load(pictured('classification', 'DeiT'))
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[:, :20, 0] = 200
    alpha = np.full((SIZE, SIZE, 1), 255, np.uint8)
    for name, pixels in (('rgb', red), ('rgba', np.concatenate((red, alpha), 2))):
        Image.fromarray(pixels).save(tmp_path / f'{name}.png')
        view = subject.view(tmp_path / f'{name}.png')
        np.testing.assert_array_equal(view.pixels, red)
        mean, std = (np.array(subject.cfg.data_preprocessor[key]) for key in ('mean', 'std'))
        np.testing.assert_allclose(view.inputs[0].permute(1, 2, 0), (red - mean) / std, atol=1e-5)


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_joined_data_are_pictured_by_their_first(
        task: str, pictured: MakeConfig) -> None:
    plain = Config.fromfile(pictured(task, 'DeiT'))
    subject = load_subject(plain, task, None)
    expected, = subject.views([], 1)
    truth = predictions.ground_truth(subject, expected)
    joined = deepcopy(plain)
    for loader in (joined.train_dataloader, joined.test_dataloader):
        other = dict(type='RepeatDataset', times=2, dataset=loader.dataset)
        loader.dataset = dict(type='ConcatDataset', datasets=[other, loader.dataset])
    subject = load_subject(joined, task, None)
    view, = subject.views([], 1)
    assert view.path == expected.path
    found = predictions.ground_truth(subject, view)
    assert found.keys() == truth.keys()
    assert any('gt' in key for key in found)
    torch.testing.assert_close(view.inputs, expected.inputs)


def test_data_without_pipeline_are_refused(pictured: MakeConfig,
                                           image_folder: Path) -> None:
    subject = load(pictured('classification', 'DeiT'))
    for dataset in (dict(type='ConcatDataset', datasets=[dict(type='ImageFolder')]), None):
        subject.cfg.test_dataloader.dataset = dataset
        with pytest.raises(PictureError, match=r'test_dataloader has no data set with a pipeline'):
            subject.view(image_folder / 'dark/0.png')


def test_ground_truth_lies_beside_the_prediction(pictured: MakeConfig) -> None:
    subject = load(pictured('detection', 'SwinTransformer'))
    views = subject.views([], 2)
    figure = predictions.draw(subject, views)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [(*box.get_xy(), box.get_width(), box.get_height()) for box in boxes] == [
        (4, 6, 20, 20), (36, 30, 20, 20)]
    assert [text.get_text() for text in figure.axes[0].texts] == ['grey', 'white']

    masks = np.zeros((2, SIZE, SIZE), bool)
    masks[:, 10:20, 30:50] = True
    result = DetDataSample(pred_instances=InstanceData(
        bboxes=torch.tensor([[30., 10., 50., 20.], [0., 0., 9., 9.]]), masks=torch.tensor(masks),
        labels=torch.tensor([1, 0]), scores=torch.tensor([0.9, 0.2])))
    truths = [predictions.ground_truth(subject, views[0])]
    figure = predictions.draw_detections(subject, views[:1], truths, [result])
    box, = figure.axes[1].patches
    assert (*box.get_xy(), box.get_width(), box.get_height()) == (30, 10, 20, 10)
    assert [text.get_text() for text in figure.axes[1].texts] == ['white 90']
    tint = figure.axes[1].images[1].get_array()[..., 3] > 0
    np.testing.assert_array_equal(tint, masks[0])


def test_masks_of_the_ground_truth_come_from_the_training_pipeline(coco: Path) -> None:
    cfg = Config.fromfile(ROOT / 'configs/quickstart/detector.py')
    assert 'LoadAnnotations' not in str(cfg.test_dataloader.dataset.pipeline)
    cfg.test_dataloader.dataset.update(
        data_root=str(coco), ann_file='annotations.json', data_prefix=dict(img='images'),
        metainfo=dict(classes=('grey', 'white')))
    subject = load_subject(cfg, 'detector', None)
    figure = predictions.draw(subject, subject.views([], 1))
    first, second = (image.get_array()[..., 3] > 0 for image in figure.axes[0].images[1:])
    assert first.sum() == second.sum() == 400
    assert first[6:26, 4:24].all()
    assert second[30:50, 36:56].all()


def test_label_maps_are_drawn_in_the_colours_of_their_classes(
        pictured: MakeConfig, ade: Path) -> None:
    subject = load(pictured('segmentation', 'DeiT'))
    view, = subject.views([], 1)  # the middle one of 4
    labels = np.asarray(Image.open(ade / 'annotations/2.png'))
    np.testing.assert_array_equal(predictions.ground_truth(subject, view)['gt_seg_map'], labels)
    palette = [[255, 0, 0], [0, 0, 255]]
    mixed = predictions.tinted(np.zeros((SIZE, SIZE, 3), np.uint8), labels, palette)
    np.testing.assert_array_equal(mixed[..., 2] > 0, labels == 1)
    np.testing.assert_array_equal(mixed[..., 0] > 0, labels == 0)
    labels = np.full_like(labels, predictions.NO_LABEL)
    assert predictions.tinted(np.zeros((SIZE, SIZE, 3), np.uint8), labels, palette).max() == 0


def test_classes_are_judged_by_their_labels(pictured: MakeConfig) -> None:
    subject = load(pictured('classification', 'SwinTransformer'))
    subject.model.head.fc.weight.data.zero_()
    subject.model.head.fc.bias.data.copy_(torch.tensor([0., 3.]))  # everything is light
    figure = predictions.draw(subject, subject.views([], 2))
    dark, light = figure.axes[:2]
    assert (dark.get_title(), light.get_title()) == ('dark', 'light')
    assert (dark.title.get_color(), light.title.get_color()) == ('tab:red', 'tab:green')
    assert light.get_xlabel() == 'light: 95 %\ndark: 5 %'
