"""Exported files give what the toolkit's model gives, at every size and number of images."""
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch

from tests.export import models
from vit_plugin.errors import UserError
from vit_plugin.export import Settings, export_model
from vit_plugin.export.answers import paste, toolkit_answers
from vit_plugin.export.deploy import check_format
from vit_plugin.export.deployed import Deployed, deploy
from vit_plugin.export.formats import convert_onnx, write_onnx, write_pt2
from vit_plugin.export.program import make_program
from vit_plugin.export.runtimes import Run, open_file
from vit_plugin.export.sizes import AdaptivePool


class Exported(NamedTuple):
    """A model, and the folder with its files."""

    model: Any
    deployed: Deployed
    folder: Path


@pytest.fixture(scope='module', params=[
    'deit_classifier', 'segmentor', 'retinanet', 'mask_rcnn', 'cascade_rcnn'])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    model = models.build(getattr(models, request.param)())
    deployed = deploy(model, logits=request.param == 'segmentor')
    folder = tmp_path_factory.mktemp(request.param)
    program = make_program(deployed, models.SIZES[0])
    if deployed.any_batch:  # detectors are refused
        write_pt2(program, deployed, dict(task=deployed.task), folder / 'model.pt2')
    write_onnx(program, deployed, dict(task=deployed.task), folder / 'model.onnx')
    return Exported(model, deployed, folder)


def pixels(batch: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.uniform(0, 255, (batch, 3, *size)).astype(np.float32)


def assert_right_at_all_sizes(run: Run, exported: Exported) -> None:
    for i, size in enumerate(models.SIZES):
        images = pixels(1 + i % 3 if exported.deployed.any_batch else 1, size)
        expected = toolkit_answers(exported.model, exported.deployed.task, images)
        found = run(images)
        if 'masks' in found:
            found['masks'] = paste(found['masks'], found['boxes'], size)
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4)


def test_onnx(exported: Exported) -> None:
    path = exported.folder / 'model.onnx'
    assert_right_at_all_sizes(open_file(path, ()), exported)
    session = onnxruntime.InferenceSession(path)
    batch = 'batch' if exported.deployed.any_batch else 1
    assert session.get_inputs()[0].shape == [batch, 3, 'height', 'width']
    metadata = session.get_modelmeta().custom_metadata_map['vit_plugin']
    assert json.loads(metadata) == dict(task=exported.deployed.task)


def test_torch_program(exported: Exported) -> None:
    if exported.deployed.task == 'detection':
        pytest.skip('refused: it fails where fewer than two boxes are found')
    path = exported.folder / 'model.pt2'
    assert_right_at_all_sizes(open_file(path, tuple(exported.deployed.outputs)), exported)


def test_openvino(exported: Exported, tmp_path: Path) -> None:
    pytest.importorskip('openvino')
    convert_onnx(exported.folder / 'model.onnx', dict(task=''), tmp_path / 'model.xml')
    assert_right_at_all_sizes(open_file(tmp_path / 'model.xml', ()), exported)


def test_whole_export_for_one_size(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cfg = models.deit_classifier()
    weights = models.checkpoint(models.build(cfg), tmp_path / 'weights.pth')
    cfg.test_dataloader = dict(dataset=dict(
        type='vit_plugin.ImageFolder', data_root=str(tmp_path / 'absent'), pipeline=[dict()]))
    settings = Settings('onnx', tmp_path / 'model.onnx', (48, 64), fixed=True)
    export_model(cfg, weights, settings)
    session = onnxruntime.InferenceSession(settings.target)
    assert session.get_inputs()[0].shape == ['batch', 3, 48, 64]
    metadata = json.loads(session.get_modelmeta().custom_metadata_map['vit_plugin'])
    assert metadata['classes'] == ['cat', 'dog', 'owl']
    assert metadata['done_inside']['mean'] == pytest.approx(models.MEAN)
    assert len(metadata['checkpoint_sha256']) == 64
    assert '48x64: scores differ by' in capsys.readouterr().out
    with pytest.raises(UserError, match='is there already'):
        export_model(cfg, weights, settings)


@pytest.mark.parametrize('size', [1, 3, (2, None)])
def test_pooling(size: Any) -> None:
    x = torch.randn(2, 3, 7, 5)
    torch.testing.assert_close(AdaptivePool(size)(x), torch.nn.AdaptiveAvgPool2d(size)(x))


def test_refusals(tmp_path: Path) -> None:
    cfg = models.segmentor()
    cfg.model.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
    weights = models.checkpoint(models.build(cfg), tmp_path / 'weights.pth')
    settings = Settings('onnx', tmp_path / 'model.onnx')
    with pytest.raises(UserError, match='mode=whole'):
        export_model(cfg, weights, settings)
    with pytest.raises(UserError, match='of another model than the config'):
        export_model(models.deit_classifier(), weights, settings)
    with pytest.raises(UserError, match='there is no checkpoint'):
        export_model(cfg, str(tmp_path / 'other.pth'), settings)
    with pytest.raises(UserError, match='--logits is for segmentors'):
        deploy(models.build(models.deit_classifier()), logits=True)
    with pytest.raises(UserError, match='fewer than two boxes'):
        check_format('detection', 'pt2')
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']
