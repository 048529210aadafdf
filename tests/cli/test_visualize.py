"""tools/visualize.py: every kind from the command line, logs, rates, ground truth, refusals."""
import json
import re
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.patches import Rectangle
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image

from tests.cli.test_train_and_test import classification, detection, segmentation
from tests.conftest import ROOT, SIZE
from vit_plugin.pictures import curves, predictions, rates
from vit_plugin.pictures.subject import PictureError, Subject, load_subject

TASKS = {'classification': (classification, 'image_folder'), 'detection': (detection, 'coco'),
         'segmentation': (segmentation, 'ade')}


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    pyplot.switch_backend('Agg')
    yield
    pyplot.close('all')


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str, str], Path]:
    """``config('detection', 'DeiT')`` is the file of a tiny config on the tests' data."""
    def write(task: str, backbone: str) -> Path:
        text, data = TASKS[task]
        path = tmp_path / f'{task}_{backbone}.py'
        path.write_text(text(backbone, request.getfixturevalue(data)))
        return path
    return write


def load(path: Path, checkpoint: Path | None = None) -> Subject:
    return load_subject(Config.fromfile(path), path.stem, checkpoint)


def weights_of(path: Path) -> Path:
    """A checkpoint as the config's model would leave it, with other weights than it starts with."""
    model = load(path).model
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.01)
    torch.save(dict(state_dict=model.state_dict()), path.with_suffix('.pth'))
    return path.with_suffix('.pth')


@pytest.mark.parametrize(('kind', 'task', 'backbone'), [
    ('windows', 'detection', 'SwinTransformer'), ('pyramid', 'segmentation', 'DeiT'),
    ('positions', 'classification', 'SwinTransformer'), ('positions', 'classification', 'DeiT'),
    ('lr', 'classification', 'SwinTransformer'), ('predictions', 'segmentation', 'DeiT')])
def test_every_kind_from_the_command_line(
        kind: str, task: str, backbone: str, config: Callable[[str, str], Path],
        tool: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'new folder/picture.png'
    tool('visualize', kind, config(task, backbone), '--out', out, '--cfg-options',
         'randomness.seed=0')
    assert str(out) in capsys.readouterr().out
    pixels = np.asarray(Image.open(out).convert('L'))
    assert min(pixels.shape) > 200
    assert pixels.std() > 10
    assert pyplot.get_fignums() == []


def test_weights_and_images_come_from_the_command_line(
        config: Callable[[str, str], Path], tool: Callable[..., None], tmp_path: Path,
        image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config('classification', 'DistilledDeiT')
    drawn: list[Any] = []
    monkeypatch.setattr('vit_plugin.pictures.drawing.pyplot.close', drawn.append)
    grey, image = tmp_path / 'grey.png', image_folder / 'light/1.png'
    Image.open(image).convert('L').save(grey)
    tool('visualize', 'attention', path, weights_of(path), image, grey, '--out',
         tmp_path / 'a.svg')
    tool('visualize', 'attention', path, '--num', 1, '--out', tmp_path / 'b.pdf')
    titles = [figure.get_suptitle() for figure in drawn]
    assert 'classification_DistilledDeiT.pth' in titles[0]
    assert 'random' not in titles[0]
    assert 'random weights' in titles[1]
    shown = [[axis for axis in figure.axes if axis.get_title().endswith('.png')]
             for figure in drawn]
    assert [len(axes) for axes in shown] == [2, 1]
    given = np.asarray(Image.open(image))
    np.testing.assert_array_equal(shown[0][0].images[0].get_array(), given)
    assert not np.array_equal(shown[1][0].images[0].get_array(), given)


def test_a_view_is_what_the_model_and_the_reader_see(config: Callable[[str, str], Path],
                                                     tmp_path: Path) -> None:
    subject = load(config('classification', 'DeiT'))
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
        task: str, config: Callable[[str, str], Path]) -> None:
    plain = Config.fromfile(config(task, 'DeiT'))
    expected = predictions.test_samples(load_subject(plain, task, None), 1)[0]
    joined = deepcopy(plain)
    for loader in (joined.train_dataloader, joined.test_dataloader):
        other = dict(type='RepeatDataset', times=2, dataset=loader.dataset)
        loader.dataset = dict(type='ConcatDataset', datasets=[other, loader.dataset])
    subject = load_subject(joined, task, None)
    sample, = predictions.test_samples(subject, 1)
    assert sample.path == expected.path
    assert sample.truth.keys() == expected.truth.keys()
    assert any('gt' in key for key in sample.truth)
    view = subject.view(sample.path)
    torch.testing.assert_close(view.inputs,
                               load_subject(plain, task, None).view(sample.path).inputs)


def test_data_without_pipeline_are_refused(config: Callable[[str, str], Path],
                                           image_folder: Path) -> None:
    subject = load(config('classification', 'DeiT'))
    for dataset in (dict(type='ConcatDataset', datasets=[dict(type='ImageFolder')]), None):
        subject.cfg.test_dataloader.dataset = dataset
        with pytest.raises(PictureError, match=r'test_dataloader has no data set with a pipeline'):
            subject.view(image_folder / 'dark/0.png')


def test_ground_truth_lies_beside_the_prediction(config: Callable[[str, str], Path]) -> None:
    subject = load(config('detection', 'SwinTransformer'))
    samples = predictions.test_samples(subject, 2)
    figure = predictions.draw(subject, samples)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [(*box.get_xy(), box.get_width(), box.get_height()) for box in boxes] == [
        (4, 6, 20, 20), (36, 30, 20, 20)]
    assert [text.get_text() for text in figure.axes[0].texts] == ['grey', 'white']

    masks = np.zeros((2, SIZE, SIZE), bool)
    masks[:, 10:20, 30:50] = True
    result = DetDataSample(pred_instances=InstanceData(
        bboxes=torch.tensor([[30., 10., 50., 20.], [0., 0., 9., 9.]]), masks=torch.tensor(masks),
        labels=torch.tensor([1, 0]), scores=torch.tensor([0.9, 0.2])))
    figure = predictions.draw_detections(subject, samples[:1], [result], 0.5)
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
    figure = predictions.draw(subject := load_subject(cfg, 'detector', None),
                              predictions.test_samples(subject, 1))
    first, second = (image.get_array()[..., 3] > 0 for image in figure.axes[0].images[1:])
    assert first.sum() == second.sum() == 400
    assert first[6:26, 4:24].all()
    assert second[30:50, 36:56].all()


def test_label_maps_are_drawn_in_the_colours_of_their_classes(
        config: Callable[[str, str], Path], ade: Path) -> None:
    subject = load(config('segmentation', 'DeiT'))
    sample, = predictions.test_samples(subject, 1)  # the middle one of 4
    labels = np.asarray(Image.open(ade / 'annotations/2.png'))
    np.testing.assert_array_equal(sample.truth['gt_seg_map'], labels)
    palette = [[255, 0, 0], [0, 0, 255]]
    mixed = predictions.tinted(np.zeros((SIZE, SIZE, 3), np.uint8), labels, palette)
    np.testing.assert_array_equal(mixed[..., 2] > 0, labels == 1)
    np.testing.assert_array_equal(mixed[..., 0] > 0, labels == 0)
    labels = np.full_like(labels, predictions.NO_LABEL)
    assert predictions.tinted(np.zeros((SIZE, SIZE, 3), np.uint8), labels, palette).max() == 0


def test_classes_are_judged_by_their_labels(config: Callable[[str, str], Path]) -> None:
    subject = load(config('classification', 'SwinTransformer'))
    subject.model.head.fc.weight.data.zero_()
    subject.model.head.fc.bias.data.copy_(torch.tensor([0., 3.]))  # everything is light
    figure = predictions.draw(subject, predictions.test_samples(subject, 2))
    dark, light = figure.axes[:2]
    assert (dark.get_title(), light.get_title()) == ('dark', 'light')
    assert (dark.title.get_color(), light.title.get_color()) == ('tab:red', 'tab:green')
    assert light.get_xlabel() == 'light: 95 %\ndark: 5 %'


def write_log(path: Path, *entries: dict) -> None:
    path.mkdir(parents=True)
    (path / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)) + '\n{"loss": 0.1, "st')


def test_curves_of_a_resumed_run_and_of_epochs(tmp_path: Path) -> None:
    def step(iteration: int, loss: float) -> dict:
        return dict(step=iteration, loss=loss, loss_cls=loss / 2, lr=0.1, agreement=0.5)

    resumed = tmp_path / 'resumed'
    write_log(resumed / '1/vis_data', step(10, 3.), step(20, 2.), {'mIoU': 40., 'step': 20},
              step(30, 9.))
    write_log(resumed / '2/vis_data', step(30, 1.), {'mIoU': 50., 'step': 30})
    epochs = tmp_path / 'epochs'
    write_log(epochs / '1/vis_data', step(25, 3.), {'coco/bbox_mAP': 0.4, 'step': 1},
              step(50, 2.), {'coco/bbox_mAP': 0.6, 'step': 2})
    assert curves.read_curves(resumed)['loss'] == [(10, 3.), (20, 2.), (30, 1.)]
    assert curves.read_curves(resumed)['mIoU'] == [(20, 40.), (30, 50.)]
    assert curves.read_curves(epochs)['coco/bbox_mAP'] == [(25, 40.), (50, 60.)]

    figure = curves.draw([str(resumed)])
    lines = {axis.get_title(): [line.get_label() for line in axis.lines] for axis in figure.axes}
    assert lines['loss in training'] == ['loss', 'loss_cls']
    assert set(lines) == {'loss in training', 'mIoU in validation (%)', 'learning rate',
                          'agreement with the teacher (%)'}
    both = curves.draw([str(resumed), str(epochs)])
    assert [line.get_label() for line in both.axes[0].lines] == ['resumed', 'epochs']
    np.testing.assert_array_equal(both.axes[1].lines[1].get_xydata(), [(25, 40.), (50, 60.)])


@pytest.mark.parametrize(('folders', 'labels'), [
    (['m1/swin', 'm2/swin'], ['m1/swin', 'm2/swin']),
    (['m1/swin', 'm2/swin/', 'm2/deit'], ['m1/swin', 'm2/swin', 'deit']),
    (['a/m/swin', 'b/m/swin', 'b/n/swin'], ['a/m/swin', 'b/m/swin', 'n/swin'])])
def test_curves_of_runs_of_one_name(folders: list[str], labels: list[str], tmp_path: Path) -> None:
    for i, folder in enumerate(folders):
        write_log(tmp_path / folder / '1/vis_data', dict(step=10, loss=float(i)))
    axis, = curves.draw([f'{tmp_path}/{folder}' for folder in folders]).axes
    assert [(line.get_label(), line.get_ydata()[0]) for line in axis.lines] == [
        (label, i) for i, label in enumerate(labels)]
    with pytest.raises(PictureError, match=f"'{tmp_path}/{folders[0]}' is given twice"):
        curves.draw([f'{tmp_path}/{folders[0]}', f'{tmp_path}/x/../{folders[0]}/'])


def test_curves_without_known_numbers(tmp_path: Path) -> None:
    write_log(tmp_path / 'a/1/vis_data', dict(step=10, PSNR=30., time=0.1))
    write_log(tmp_path / 'b/1/vis_data', dict(step=10, loss=2.))
    for runs in (['a'], ['b', 'a']):
        with pytest.raises(PictureError, match=r"/a'.*logged: step, PSNR, time"):
            curves.draw([str(tmp_path / run) for run in runs])


def test_rates_are_those_of_layer_decay(config: Callable[[str, str], Path]) -> None:
    path = config('classification', 'DeiT')
    path.write_text(path.read_text() + """
model['backbone']['frozen_stages'] = 1
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.5))
""")
    found = rates.layer_rates(load(path))
    table = {(rate.layer, rate.weight_decay): rate.lr for rate in found}
    assert table['backbone.layers.0', 0.] is None
    assert table['backbone.patch_embed', 0.] is None
    # of 4 depths (patches, two blocks, the rest) the second block is the last but one
    assert table['backbone.layers.1', 0.05] == table['backbone.layers.1', 0.] == 0.5e-3
    assert table['head', 0.05] == table['backbone.ln1', 0.] == 1e-3
    assert found[rates.Rate('head', 1e-3, 0.05)] == 2 * 64
    plain = load(path)
    plain.cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))  # one group of everything
    assert {rate.layer: rate.lr for rate in rates.layer_rates(plain)} == {
        layer: None if table[layer, decay] is None else 0.1 for layer, decay in table}
    figure = rates.draw(load(path))
    notes = [text.get_text() for text in figure.axes[0].texts]
    assert sum('frozen' in note for note in notes) == 4  # patches, token, position, first block


@pytest.mark.parametrize(('arguments', 'message'), [
    ('positions deit absent.jpg', r"takes no images, got absent\.jpg.*\.pth"),
    ('lr deit image a.pth', 'takes no images, got .*0.png'),
    ('positions deit --num 2', '--num changes nothing'),
    ('lr deit --num 2', '--num changes nothing'),
    ('lr deit --data-root absent', '--data-root changes nothing'),
    ('attention deit --num 2 image', '--num 2 counts images of the test data, and 1 is given'),
    ('predictions deit absent.jpg b.jpg --num 2', 'and 2 are given'),
    ('curves absent --num 2', '--num changes nothing'),
    ('curves absent --data-root absent', '--data-root changes nothing'),
    ('curves absent --cfg-options randomness.seed=0', '--cfg-options changes nothing'),
    ('curves absent --trust-checkpoint', '--trust-checkpoint changes nothing'),
    ('attention deit --show --out a.png', '--show opens a window')])
def test_arguments_that_change_nothing_are_refused(
        arguments: str, message: str, config: Callable[[str, str], Path],
        stopped: Callable[..., str], image_folder: Path) -> None:
    files = {'deit': config('classification', 'DeiT'), 'image': image_folder / 'dark/0.png'}
    said = stopped('visualize', *(files.get(word, word) for word in arguments.split()),
                   status=2 if '--show' in arguments else 1)
    assert re.search(message, said)


def test_refusals_say_what_to_do(config: Callable[[str, str], Path], tool: Callable[..., None],
                                 tmp_path: Path, image_folder: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    deit, swin = config('classification', 'DeiT'), config('classification', 'SwinTransformer')
    (tmp_path / 'text.png').write_text('no image')
    windows = tmp_path / 'windows.py'
    windows.write_text(config('detection', 'DeiT').read_text()
                       + "\nmodel['backbone']['window_size'] = 2\n")
    image = image_folder / 'dark/0.png'
    refusals = [
        (['attention', swin], 'has a SwinTransformer: use the kind windows'),
        (['attention', windows], 'has none: use the kind pyramid'),
        (['windows', deit], 'has a DeiT: use the kind attention'),
        (['gradcam', config('detection', 'DeiT')], 'use the kind predictions or pyramid'),
        (['attention', 'absent.py'], r"no config 'absent\.py'"),
        (['attention', deit, 'absent.pth'], r"no checkpoint 'absent\.pth'"),
        (['attention', deit, 'absent.jpg'], r"no image 'absent\.jpg'"),
        (['attention', deit, tmp_path / 'text.png'], 'is no image that OpenCV can read'),
        (['attention', deit, weights_of(swin), image], 'does not fit'),
        (['attention', deit, 'a.pth', 'b.pth'], r'one checkpoint, got 2: a\.pth, b\.pth'),
        (['attention', deit, '--data-root', tmp_path / 'absent'], 'test data cannot be read'),
        (['curves', tmp_path], 'no log of mmengine'),
        (['attention', deit, '--show'], 'needs a display')]
    for arguments, message in refusals:
        with pytest.raises(SystemExit, match=message):
            tool('visualize', *arguments)
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(SystemExit, match='pip install'):
        tool('visualize', 'gradcam', deit, image)
