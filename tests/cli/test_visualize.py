"""``vit-plugin visualize``: every kind from the command line, and what is refused."""
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from mmengine.config import Config
from PIL import Image

from tests.pictured import MakeConfig
from tests.tool_runs import Run
from vit_plugin.pictures.subject import load_subject

pytestmark = pytest.mark.usefixtures('no_window')


def weights_of(path: Path, classes: list[str] | None = None) -> Path:
    """A checkpoint as the config's model would leave it, with other weights than it starts with."""
    model = load_subject(Config.fromfile(path), path.stem, None).model
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.01)
    meta = dict(dataset_meta=dict(classes=classes)) if classes else {}
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path.with_suffix('.pth'))
    return path.with_suffix('.pth')


@pytest.mark.parametrize(('kind', 'task', 'backbone'), [
    ('windows', 'detection', 'SwinTransformer'), ('pyramid', 'segmentation', 'DeiT'),
    ('positions', 'classification', 'SwinTransformer'), ('positions', 'classification', 'DeiT'),
    ('lr', 'classification', 'SwinTransformer'), ('predictions', 'segmentation', 'DeiT')])
def test_every_kind_from_the_command_line(
        kind: str, task: str, backbone: str, pictured: MakeConfig,
        tool: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'new folder/picture.png'
    tool('visualize', kind, pictured(task, backbone), '--out', out, '--cfg-options',
         'randomness.seed=0')
    assert str(out) in capsys.readouterr().out
    pixels = np.asarray(Image.open(out).convert('L'))
    assert min(pixels.shape) > 200
    assert pixels.std() > 10
    assert pyplot.get_fignums() == []


OTHERS = ['light', 'dark']  # the folders are dark and light


@pytest.mark.parametrize('kind', ['predictions', 'gradcam'])
def test_names_of_other_classes_are_refused(kind: str, pictured: MakeConfig, stopped: Run,
                                            tmp_path: Path) -> None:
    path = pictured('classification', 'DeiT')
    said = stopped('visualize', kind, path, weights_of(path, OTHERS), '--out', tmp_path / 'a.png')
    assert "the checkpoint has ['light', 'dark'], the data have ['dark', 'light']" in said
    assert not (tmp_path / 'a.png').exists()


@pytest.mark.parametrize(('kind', 'classes'), [
    ('predictions', ['dark', 'light']), ('predictions', ['dark', 'light', 'grey']),
    ('positions', OTHERS), ('attention', OTHERS)])
def test_pictures_of_the_same_classes_or_without_names(
        kind: str, classes: list[str], pictured: MakeConfig, tool: Callable[..., None],
        tmp_path: Path) -> None:
    path = pictured('classification', 'DeiT')
    tool('visualize', kind, path, weights_of(path, classes), '--out', tmp_path / 'a.png')
    assert (tmp_path / 'a.png').exists()


def test_names_come_from_the_checkpoint_where_the_data_have_none(pictured: MakeConfig,
                                                                 tmp_path: Path) -> None:
    path = pictured('classification', 'DeiT')
    cfg = Config.fromfile(path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(tmp_path / 'nowhere')
    subject = load_subject(cfg, 'a', weights_of(path, OTHERS))
    assert [subject.class_name(label) for label in (0, 1)] == OTHERS


def test_weights_and_images_come_from_the_command_line(
        pictured: MakeConfig, tool: Callable[..., None], tmp_path: Path,
        image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pictured('classification', 'DistilledDeiT')
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
        arguments: str, message: str, pictured: MakeConfig,
        stopped: Callable[..., str], image_folder: Path) -> None:
    files = {'deit': pictured('classification', 'DeiT'), 'image': image_folder / 'dark/0.png'}
    said = stopped('visualize', *(files.get(word, word) for word in arguments.split()),
                   status=2 if '--show' in arguments else 1)
    assert re.search(message, said)


@pytest.mark.parametrize(('arguments', 'message'), [
    ('attention swin', 'has a SwinTransformer: use the kind windows'),
    ('attention windowed', 'has none: use the kind pyramid'),
    ('windows deit', 'has a DeiT: use the kind attention'),
    ('gradcam windowed', 'use the kind predictions or pyramid'),
    ('attention absent.py', r"no config 'absent\.py'"),
    ('attention deit absent.pth', r"no checkpoint 'absent\.pth'"),
    ('attention deit absent.jpg', r"no image 'absent\.jpg'"),
    ('attention deit text', 'is no image that OpenCV can read'),
    ('attention deit weights image', 'does not fit'),
    ('attention deit a.pth b.pth', r'one checkpoint, got 2: a\.pth, b\.pth'),
    ('attention deit --data-root absent', 'test data cannot be read'),
    ('curves folder', 'no log of mmengine'),
    ('attention deit --show', 'needs a display')])
def test_refusals_say_what_to_do(arguments: str, message: str, pictured: MakeConfig,
                                 stopped: Callable[..., str], tmp_path: Path,
                                 image_folder: Path) -> None:
    words = arguments.split()
    files: dict[str, Path] = {'folder': tmp_path, 'image': image_folder / 'dark/0.png'}
    if 'deit' in words:
        files['deit'] = pictured('classification', 'DeiT')
    if 'swin' in words or 'weights' in words:
        files['swin'] = pictured('classification', 'SwinTransformer')
    if 'weights' in words:
        files['weights'] = weights_of(files['swin'])
    if 'windowed' in words:
        files['windowed'] = tmp_path / 'windows.py'
        files['windowed'].write_text(pictured('detection', 'DeiT').read_text()
                                     + "\nmodel['backbone']['window_size'] = 2\n")
    if 'text' in words:
        files['text'] = tmp_path / 'text.png'
        files['text'].write_text('no image')
    assert re.search(message, stopped('visualize', *(files.get(word, word) for word in words)))


def test_gradcam_without_its_library(pictured: MakeConfig, stopped: Callable[..., str],
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    assert 'pip install' in stopped('visualize', 'gradcam', pictured('classification', 'DeiT'))
