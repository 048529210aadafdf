"""DETR-like detectors and Mask2Former learn by the maps of backbone, neck and encoder."""
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.testing import assert_close

from vit_plugin.distillation.module_outputs import split_levels
from vit_plugin.distillation.queries import is_of_queries
from vit_plugin.errors import UserError

CONFIGS = {
    'DINO': 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'DeformableDETR': 'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    'Mask2Former': 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'}
WIDTHS = [8, 16, 32, 64]
# The transformers stay 256 wide: mmdet 3.3's DINO encodes boxes for no other width.
SMALL = dict(feedforward_channels=32, num_queries=10, num_layers=2)


def smaller(value: Any) -> None:
    """Shrink the layers of a model's config in place."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if key in SMALL and isinstance(item, int):
            value[key] = SMALL[key]
        elif isinstance(item, (dict, list)):
            smaller(item)


def tiny(name: str) -> Config:
    """The toolkit's own config of a model, with a small Swin and few channels."""
    model = get_config(CONFIGS[name]).model
    smaller(model)
    levels = model.backbone.out_indices
    model.backbone = dict(
        type='vit_plugin.SwinTransformer', window_size=2, drop_path_rate=0., out_indices=levels,
        arch=dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)))
    model.data_preprocessor.pop('batch_augments', None)  # Mask2Former's pads to 1024x1024
    reader = model.neck if 'neck' in model else model.panoptic_head
    reader.in_channels = WIDTHS[-len(levels):]
    return model


def distilled(name: str, folder: Path, tap: str | None, loss: str = 'PKD') -> nn.Module:
    """The model with another one of the same config as its teacher."""
    model = tiny(name)
    with DefaultScope.overwrite_default_scope('mmdet'):
        teacher = MODELS.build(deepcopy(model))
        teacher.init_weights()
        torch.save(teacher.state_dict(), folder / 'teacher.pth')
        student = MODELS.build(dict(
            deepcopy(model), type='vit_plugin.Distilled', student_type=model.type,
            teacher=dict(deepcopy(model), checkpoint=str(folder / 'teacher.pth')),
            distillation=dict(type=f'vit_plugin.{loss}', student=tap, teacher=tap)))
        student.init_weights()
    return student


def batch(model: nn.Module) -> dict[str, Any]:
    """Two images of one size."""
    testing = pytest.importorskip('mmdet.testing')
    data = testing.demo_mm_inputs(2, [[3, 64, 96], [3, 64, 96]], num_classes=3, num_items=[2, 3],
                                  with_mask=True)
    return model.data_preprocessor(data, training=True)


@pytest.mark.parametrize(('name', 'tap', 'maps'), [
    ('DINO', 'encoder', 4), ('DeformableDETR', 'backbone', 3),
    ('DeformableDETR', 'encoder.layers.0', 4), ('Mask2Former', 'backbone', 4),
    ('Mask2Former', 'panoptic_head.pixel_decoder.encoder', 3)])
def test_two_iterations(name: str, tap: str, maps: int, tmp_path: Path) -> None:
    pytest.importorskip('mmdet')
    torch.manual_seed(0)
    model = distilled(name, tmp_path, tap)
    data = batch(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    assert len(model.teacher.outputs(data['inputs'])[tap]) == maps
    for _ in range(2):
        losses = model.loss(data['inputs'], data['data_samples'])
        optimizer.zero_grad()
        losses['loss_distill'].backward(retain_graph=True)
        weight = model.backbone.patch_embed.projection.weight
        assert weight.grad.abs().sum() > 0
        total, _ = model.parse_losses(losses)
        total.backward()
        optimizer.step()
        assert total.isfinite()


def test_levels_of_the_encoder_are_those_of_the_neck(tmp_path: Path) -> None:
    """An encoder without layers gives its tokens back."""
    pytest.importorskip('mmdet')
    model = distilled('DeformableDETR', tmp_path, 'encoder').teacher
    model.model.encoder.layers = nn.ModuleList()
    images = torch.randn(2, 3, 64, 96)
    levels = model.outputs(images)['encoder']
    for level, expected in zip(levels, model.model.extract_feat(images), strict=True):
        assert_close(level, expected)


@pytest.mark.parametrize(('name', 'loss', 'tap'), [
    ('DeformableDETR', 'DIST', None), ('DeformableDETR', 'PKD', 'decoder.layers.1'),
    ('Mask2Former', 'DIST', None)])
def test_queries_are_refused(name: str, loss: str, tap: str | None, tmp_path: Path) -> None:
    pytest.importorskip('mmdet')
    with pytest.raises(UserError, match=f'{loss} cannot compare .* no query of the student'):
        distilled(name, tmp_path, tap, loss)


@pytest.mark.parametrize(('name', 'queries', 'places'), [
    ('DINO', ['decoder', 'bbox_head', 'bbox_head.cls_branches.1'],
     ['', 'neck', 'encoder.layers.1', 'bbox_head.cls_branches.2']),
    ('Mask2Former', ['panoptic_head', 'panoptic_head.transformer_decoder.layers.0',
                     'panoptic_head.mask_embed.4'],
     ['', 'backbone', 'panoptic_head.pixel_decoder'])])
def test_is_of_queries(name: str, queries: list[str], places: list[str]) -> None:
    pytest.importorskip('mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(tiny(name))
    assert all(is_of_queries(model, path) for path in queries)
    assert not any(is_of_queries(model, path) for path in places)


@pytest.mark.parametrize('output', [torch.ones(2, 5, 3), torch.ones(2, 6), (torch.ones(2, 6, 3),)])
def test_other_outputs_have_no_levels(output: Tensor | tuple) -> None:
    assert split_levels(output, torch.tensor([[2, 2], [1, 2]])) is output
