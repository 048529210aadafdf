"""Metrics of the test data, as ``vit-plugin export --check`` computes them."""
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DefaultScope

from tests.conftest import ROOT
from tests.shrink import shrunk
from tests.test_configs_dense import build
from vit_plugin.export.accuracy import evaluate, predict_by_file
from vit_plugin.export.tasks import deploy


def test_of_a_detector_and_its_deployed_form(coco: Path) -> None:
    """Both are asked where gradients are on, as the command is run."""
    cfg = shrunk(ROOT / 'configs/detection/mask-rcnn_swin-tiny_fpn_1x_coco.py', coco)
    torch.manual_seed(0)
    model = build(cfg).eval()
    model.cfg = cfg
    deployed = deploy(model)

    def run(pixels: np.ndarray) -> dict[str, np.ndarray]:
        found = deployed(torch.from_numpy(pixels))
        return {name: value.detach().numpy() for name, value in zip(deployed.outputs, found)}

    with DefaultScope.overwrite_default_scope('mmdet'):
        expected = evaluate(cfg, model.test_step)
        found = evaluate(cfg, predict_by_file(run, 'detection'))
    assert expected.keys() == found.keys()
    assert 'coco/segm_mAP' in found
    for name, value in expected.items():
        assert abs(found[name] - value) <= 1e-3, name
