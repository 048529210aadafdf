"""A classifier's checkpoint goes straight into detectors and segmentors."""
from collections.abc import Callable
from pathlib import Path

import torch

from tests.cli.test_inference import DETECTION, SEGMENTATION
from tests.cli.test_train_and_test import classification
from tests.shrink import shrunk
from tests.test_configs_dense import build


def test_from_classification_to_detection_and_segmentation(
        tool: Callable[..., None], tmp_path: Path, image_folder: Path, coco: Path,
        ade: Path) -> None:
    config = tmp_path / 'pretraining_swin.py'
    config.write_text(classification('SwinTransformer', image_folder))
    tool('train', config, '--work-dir', tmp_path / 'work', '--cfg-options',
         'train_cfg.max_iters=2', 'custom_hooks=[]')
    checkpoint = tmp_path / 'work/iter_2.pth'
    trained = torch.load(checkpoint, weights_only=False)['state_dict']
    for path, data in ((DETECTION, coco), (SEGMENTATION, ade)):
        cfg = shrunk(path, data)
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
        model = build(cfg)
        model.init_weights()
        own = model.backbone.state_dict()
        shared = {key: own[key] for key in own if f'backbone.{key}' in trained}
        # Classification has one output norm; the indices of window 7 are no parameters.
        missing = {key for key in own if key not in shared}
        assert missing <= {f'norm{i}.{kind}' for i in (0, 1, 2) for kind in ('weight', 'bias')}
        assert all(torch.equal(value, trained[f'backbone.{key}']) for key, value in shared.items())
        maps = model.backbone(torch.randn(2, 3, 90, 130))
        assert [tuple(out.shape[2:]) for out in maps] == [(23, 33), (12, 17), (6, 9), (3, 5)]
