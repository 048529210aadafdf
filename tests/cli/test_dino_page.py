"""The stock configs with a DINOv2 of docs/dino.md train."""
import re
from collections.abc import Callable
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config

from tests.cli.test_stock_training import RUN
from tests.conftest import ROOT
from tests.test_configs_dense import build
from vit_plugin.backbones import DINOv2

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
PAGE = (ROOT / 'docs/dino.md').read_text()
BLOCKS = dict(re.findall(r'^```python title=(\w+)\.py\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
MMSEG = Path(mmseg.__file__).parent / '.mim/configs/upernet'


def page(name: str) -> str:
    """A config of the page, which finds mmseg's beside itself."""
    return BLOCKS[name].replace("_base_ = 'upernet", f"_base_ = '{MMSEG}/upernet")


def detector(coco: Path) -> str:
    load = "dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, " \
           'with_mask=True)'
    keys = "('img_id', 'ori_shape', 'img_shape', 'scale_factor')"
    return RUN.format(
        data=f"type='CocoDataset', data_root='{coco}', ann_file='annotations.json', "
             "data_prefix=dict(img='images'), metainfo=dict(classes=('grey', 'white'))",
        test_mode='test_mode=True,', train=f'[{load}, dict(type="PackDetInputs")]',
        test=f"[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), "
             f"dict(type='LoadAnnotations', with_bbox=True), "
             f"dict(type='PackDetInputs', meta_keys={keys})]") + f"""
optim_wrapper = dict(optimizer=dict(lr=1e-4))
val_evaluator = dict(ann_file='{coco}/annotations.json')
model['roi_head'].update(bbox_head=dict(num_classes=2), mask_head=dict(num_classes=2))
"""


def segmentor(ade: Path) -> str:
    load = ', '.join(f"dict(type='{name}')"
                     for name in ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs'))
    return RUN.format(
        data=f"type='BaseSegDataset', data_root='{ade}', img_suffix='.jpg', seg_map_suffix='.png', "
             "data_prefix=dict(img_path='images', seg_map_path='annotations'), "
             "metainfo=dict(classes=('out', 'in'), palette=[[0, 0, 0], [9, 9, 9]])",
        test_mode='test_mode=True,', train=f'[{load}]', test=f'[{load}]') + """
optim_wrapper = dict(optimizer=dict(lr=1e-4))
norm_cfg = dict(type='BN')
model['data_preprocessor'].update(size=(70, 70))
model['decode_head'].update(channels=16, num_classes=2, norm_cfg=norm_cfg)
model['auxiliary_head'].update(channels=16, num_classes=2, norm_cfg=norm_cfg)
"""


@pytest.mark.parametrize(('name', 'small', 'data', 'metric'), [
    ('stock_detector', detector, 'coco', 'coco/bbox_mAP:'),
    ('stock_segmentor', segmentor, 'ade', 'mIoU:')])
def test_stock_config_trains(name: str, small: Callable[[Path], str], data: str, metric: str,
                             tool: Callable[..., None], tmp_path: Path,
                             request: pytest.FixtureRequest,
                             capfd: pytest.CaptureFixture) -> None:
    weights = tmp_path / 'dinov2.pth'
    torch.save(DINOv2(ARCH).state_dict(), weights)
    config, work = tmp_path / f'{name}.py', tmp_path / 'work'
    text = page(name).replace("arch='base'", f'arch={ARCH}').replace('768', '16')
    text = text.replace('dinov2_vitb14_reg4_pretrain.pth', str(weights))
    config.write_text(text + small(request.getfixturevalue(data)))
    tool('train', config, '--work-dir', work, '--cfg-options', 'randomness.seed=0')
    log = ''.join(capfd.readouterr())
    assert len(re.findall(r'loss: \d+\.\d+', log)) == 2
    assert metric in log
    assert '100.0 % of the parameters matched' in log


@pytest.mark.parametrize('name', ['stock_detector', 'stock_segmentor'])
def test_stock_config_is_built_at_full_size(name: str, tmp_path: Path) -> None:
    config = tmp_path / f'{name}.py'
    config.write_text(page(name))
    with torch.device('meta'):
        model = build(Config.fromfile(config))
    assert isinstance(model.backbone, DINOv2)
    assert model.backbone.num_extra_tokens == 5
