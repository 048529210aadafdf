"""Class activation maps by mmpretrain's own script are those of the maps that a Swin returns."""
import runpy
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import mmpretrain
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

ARCH = dict(embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))


@pytest.fixture(scope='module')
def script() -> dict[str, Any]:
    folder = Path(mmpretrain.__file__).parent / '.mim/tools/visualization'
    return runpy.run_path(str(folder / 'vis_cam.py'))


@pytest.mark.parametrize('stage', [2, 3])
def test_map_is_that_of_the_output(stage: int, script: dict[str, Any]) -> None:
    model = MODELS.build(dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='vit_plugin.SwinTransformer', arch=ARCH, out_indices=(stage,)),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=5,
                  in_channels=8 * 2**stage))).eval()
    for parameter in model.backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.randn(1, 3, 256, 256)
    args = Namespace(vit_like=True, num_extra_tokens=None)
    layers = script['get_default_target_layers'](model, args)
    assert layers == [getattr(model.backbone, f'norm{stage}')]
    cam = script['init_cam']('gradcam', model, layers, False,
                             partial(script['reshape_transform'], model=model, args=args))
    category = int(model(image).argmax())
    found = cam(image, [ClassifierOutputTarget(category)])[0]

    # Selvaraju et al., equations 1 and 2, on the backbone's output.
    features = model.backbone(image)[0].detach().requires_grad_()
    model.head((model.neck((features,))[0],))[0, category].backward()
    expected = (features.grad.mean((2, 3), keepdim=True) * features).sum(1)[0].relu()
    expected = torch.nn.functional.interpolate(
        expected[None, None], found.shape, mode='bilinear')[0, 0].detach().numpy()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
