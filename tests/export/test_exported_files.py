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
from vit_plugin.export.deployed import Deployed
from vit_plugin.export.formats import convert_onnx, write_onnx, write_pt2
from vit_plugin.export.program import make_program
from vit_plugin.export.proof import compare
from vit_plugin.export.runtimes import Run, open_file
from vit_plugin.export.sizes import AdaptivePool
from vit_plugin.export.tasks import deploy


class Exported(NamedTuple):
    """A model, and the folder with its files."""

    model: Any
    deployed: Deployed
    folder: Path


@pytest.fixture(scope='module', params=['deit_classifier', 'segmentor', 'mask_rcnn'])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    models.needs_exporter()
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


def assert_right_at_all_sizes(run: Run, model: Any, deployed: Deployed) -> None:
    for i, size in enumerate(models.SIZES):
        images = pixels(1 + i % 3 if deployed.any_batch else 1, size)
        expected = toolkit_answers(model, deployed.task, images)
        found = run(images)
        if 'masks' in found:
            found['masks'] = paste(found['masks'], found['boxes'], size)
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4)


def test_onnx(exported: Exported) -> None:
    path = exported.folder / 'model.onnx'
    assert_right_at_all_sizes(open_file(path, ()), exported.model, exported.deployed)
    session = onnxruntime.InferenceSession(path)
    batch = 'batch' if exported.deployed.any_batch else 1
    assert session.get_inputs()[0].shape == [batch, 3, 'height', 'width']
    metadata = session.get_modelmeta().custom_metadata_map['vit_plugin']
    assert json.loads(metadata) == dict(task=exported.deployed.task)


def test_torch_program(exported: Exported) -> None:
    if exported.deployed.task == 'detection':
        pytest.skip('refused: it fails where fewer than two boxes are found')
    path = exported.folder / 'model.pt2'
    run = open_file(path, tuple(exported.deployed.outputs))
    assert_right_at_all_sizes(run, exported.model, exported.deployed)


def test_openvino(exported: Exported, tmp_path: Path) -> None:
    pytest.importorskip('openvino')
    convert_onnx(exported.folder / 'model.onnx', dict(task=''), tmp_path / 'model.xml')
    run = open_file(tmp_path / 'model.xml', ())
    assert_right_at_all_sizes(run, exported.model, exported.deployed)


@pytest.mark.parametrize('config', ['retinanet', 'cascade_rcnn'])
def test_deployed_detector(config: str) -> None:
    model = models.build(getattr(models, config)())
    deployed = deploy(model)

    @torch.no_grad()
    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        found = deployed(torch.from_numpy(image))
        return {name: values.numpy() for name, values in zip(deployed.outputs, found)}

    assert_right_at_all_sizes(run, model, deployed)


def change(cfg: Any, name: str, value: object) -> Any:
    cfg.merge_from_dict({f'model.{name}': value})
    return cfg


@pytest.mark.parametrize(('name', 'value', 'message'), [
    ('rpn_head.bbox_coder.type', 'LegacyDeltaXYWHBBoxCoder', 'LegacyDeltaXYWHBBoxCoder in the RPN'),
    ('test_cfg.rcnn.nms.type', 'soft_nms', "'soft_nms'"),
    ('test_cfg.rpn.nms.class_agnostic', True, 'class_agnostic'),
    ('test_cfg.rcnn.mask_thr_binary', 0.3, 'got 0.3'),
    ('roi_head.type', 'MaskScoringRoIHead', 'got a MaskScoringRoIHead'),
    ('roi_head.mask_roi_extractor.roi_layer.pool_mode', 'max', 'RoIAlign that averages')])
def test_refused_two_stage_detectors(name: str, value: object, message: str) -> None:
    cfg = change(models.mask_rcnn(), name, value)
    if 'Scoring' in message:
        cfg.model.roi_head.mask_iou_head = dict(
            type='MaskIoUHead', num_convs=1, num_fcs=1, in_channels=8, roi_feat_size=6,
            conv_out_channels=8, fc_out_channels=8, num_classes=3)
    with pytest.raises(UserError, match=message):
        deploy(models.build(cfg))


def boxes_of(count: int) -> dict[str, np.ndarray]:
    corner = 10. * np.arange(count)[:, None]
    return dict(boxes=np.concatenate((corner, corner, corner + 5, corner + 5), 1),
                scores=np.linspace(1, 0.5, count), labels=np.arange(count) % 3)


def test_boxes_are_compared_with_their_match() -> None:
    expected = boxes_of(100)
    found = {name: values[::-1][:99] for name, values in boxes_of(100).items()}
    result = compare((48, 64), found, expected)  # another order, and one is missing
    assert result.is_equal
    assert result.differences == pytest.approx(dict(unmatched=1 / 199, boxes=0, scores=0))
    for name in ('boxes', 'scores', 'labels'):
        moved = {**found, name: found[name] + 1}
        assert not compare((48, 64), moved, expected).is_equal
    nothing = boxes_of(0)
    assert compare((48, 64), nothing, nothing).is_equal
    assert not compare((48, 64), nothing, expected).is_equal

def test_whole_export_for_one_size(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    models.needs_exporter()
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
    models.needs_exporter()
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
    cfg = models.deit_classifier()
    model = models.build(cfg)
    torch.nn.init.constant_(model.head.layers.head.bias, torch.nan)
    with pytest.raises(UserError, match=r'layers\.head\.bias'):
        export_model(cfg, models.checkpoint(model, tmp_path / 'nan.pth'), settings)
