"""Stock models whose heads do not classify the data's classes train and are tested."""
import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image
from torch import nn

from tests.cli.test_train_and_test import segmentation
from tests.conftest import SIZE, needs
from tests.tool_runs import Run
from vit_plugin.checks.classes import check_splits
from vit_plugin.checks.heads import check_heads, level_of_names

# One iteration, and no evaluation but the test's.
RUN = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1)
val_cfg = val_dataloader = val_evaluator = None
param_scheduler = []
log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', _delete_=True, by_epoch=False))
sampler = dict(type='InfiniteSampler', shuffle=True, _delete_=True)
"""
PANOPTIC = """
_base_ = 'mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py'
few = dict({settings})
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None), neck=dict(in_channels=[8, 16, 32, 64]),
    roi_head=dict(bbox_head=dict(num_classes={boxes}, fc_out_channels=8),
                  mask_head=dict(num_classes={boxes}, num_convs=1)),
    semantic_head=few, panoptic_fusion_head=few, train_cfg=dict(rpn_proposal=dict(max_per_img=8)))
dataset = dict(data_root='{root}', ann_file='panoptic.json', metainfo=dict({metainfo}),
               data_prefix=dict(img='images', seg='panoptic'),
               pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations'),
                         dict(type='PackDetInputs')])
test_dataloader = test_evaluator = test_cfg = None
""" + RUN + """
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, sampler=sampler,
                        batch_sampler=None, dataset=dataset)
"""
METAINFO = "classes=('grey', 'white', 'wall')"
THINGS = f"{METAINFO}, thing_classes=('grey', 'white'), stuff_classes=('wall',)"


@pytest.fixture
def panoptic(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The squares as segments before a wall; with the one function of panopticapi that loads."""
    content = json.loads((coco / 'annotations.json').read_text())
    content['categories'] = [dict(category, isthing=1) for category in content['categories']]
    content['categories'].append(dict(id=3, name='wall', isthing=0))
    objects, content['annotations'] = content['annotations'], []
    (tmp_path / 'panoptic').mkdir()
    (tmp_path / 'images').symlink_to(coco / 'images')
    for image in content['images']:
        pixels = np.full((SIZE, SIZE, 3), (3, 0, 0), np.uint8)
        segments = [dict(id=3, category_id=3, bbox=[0, 0, SIZE, SIZE], area=1000, iscrowd=0)]
        for entry in objects:
            if entry['image_id'] == image['id']:
                x, y, width, height = entry['bbox']
                number = entry['category_id']
                pixels[y:y + height, x:x + width] = (number, 0, 0)
                segments.append(dict(entry, id=number))
        content['annotations'].append(dict(image_id=image['id'], segments_info=segments,
                                           file_name=image['file_name']))
        Image.fromarray(pixels).save(tmp_path / 'panoptic' / image['file_name'])
    (tmp_path / 'panoptic.json').write_text(json.dumps(content))
    utils = ModuleType('utils')
    utils.rgb2id = lambda color: color[..., 0].astype(np.int32)
    package = ModuleType('panopticapi')
    package.utils = utils
    monkeypatch.setitem(sys.modules, 'panopticapi', package)
    monkeypatch.setitem(sys.modules, 'panopticapi.utils', utils)
    return tmp_path


def panoptic_config(root: Path, metainfo: str, things: int, stuff: int, boxes: int) -> Path:
    needs('mmdet')
    path = root / 'panoptic.py'
    settings = f'num_things_classes={things}, num_stuff_classes={stuff}'
    path.write_text(PANOPTIC.format(root=root, metainfo=metainfo, settings=settings, boxes=boxes))
    return path


@pytest.mark.parametrize('metainfo', [THINGS, METAINFO], ids=['things', 'classes alone'])
def test_boxes_of_a_panoptic_model(metainfo: str, tool: Callable[..., None], panoptic: Path,
                                   work: Path) -> None:
    """Two things and one stuff: its heads for boxes and masks have two classes."""
    tool('train', panoptic_config(panoptic, metainfo, 2, 1, 2), '--work-dir', work)
    assert (work / 'iter_1.pth').is_file()


@pytest.mark.parametrize(('things', 'stuff'), [(3, 0), (1, 1), (3, 1)])
def test_panoptic_models_of_other_data(things: int, stuff: int, stopped: Run, panoptic: Path,
                                       work: Path) -> None:
    """Stuff would be numbered from another place; mmdet trains on it."""
    config = panoptic_config(panoptic, THINGS, things, stuff, things)
    said = stopped('train', config, '--work-dir', work)
    assert (f'have 2 things and 1 stuff classes, but model.semantic_head has num_things_classes='
            f'{things} and num_stuff_classes={stuff}') in said


AUXILIARY = """auxiliary_head=[
        dict(type='FCNHead', in_channels=32, in_index=2, channels=8, num_convs=1, num_classes={},
             loss_decode=dict(type='CrossEntropyLoss')),
        dict(type='STDCHead', in_channels=8, in_index=0, channels=8, num_convs=1, num_classes=2,
             boundary_threshold=0.1, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))]
)"""


@pytest.mark.parametrize('classes', [3, 2])
def test_head_for_boundaries(classes: int, tool: Callable[..., None], stopped: Run, ade: Path,
                             work: Path, tmp_path: Path) -> None:
    """STDC's head has 2 outputs, whatever the classes; its others have as many as these."""
    text = segmentation('SwinTransformer', ade).replace("('out', 'in')", "('out', 'in', 'rest')")
    text = text.replace('[9, 9, 9]]', '[9, 9, 9], [5, 5, 5]]').replace('classes=2', 'classes=3')
    start, end = text.index('auxiliary_head='), text.index('loader = ')
    config = tmp_path / 'boundaries.py'
    config.write_text(text[:start] + AUXILIARY.format(classes) + '\n' + text[end:])
    options = ('train', config, '--work-dir', work, '--no-validate', '--cfg-options',
               'train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1')
    if classes == 3:
        tool(*options)
        assert (work / 'iter_1.pth').is_file()
    else:
        said = stopped(*options)
        assert 'auxiliary_head.0 2. To set it' in said


RETRIEVAL = """
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
def loader(root):
    return dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='CustomDataset', data_root=root, pipeline=pipeline),
                collate_fn=dict(type='default_collate'))
default_scope = 'mmpretrain'
train_dataloader = loader('{trained}')
val_dataloader = test_dataloader = loader('{others}')
val_evaluator = test_evaluator = dict(type='RetrievalRecall', topk=1)
model = dict(
    type='ImageToImageRetriever', prototype=val_dataloader,
    image_encoder=[dict(type='ResNet', depth=18, base_channels=4),
                   dict(type='GlobalAveragePooling')],
    head=dict(type='ArcFaceClsHead', num_classes={classes}, in_channels=32,
              loss=dict(type='CrossEntropyLoss')))
custom_hooks = [dict(type='PrepareProtoBeforeValLoopHook')]
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
del loader
"""


def test_retrieval_of_other_classes(tool: Callable[..., None], stopped: Run, image_folder: Path,
                                    work: Path, tmp_path: Path) -> None:
    """Tested on three classes, of which training has seen none."""
    needs('mmpretrain')
    for name in 'abc':
        shutil.copytree(image_folder / 'dark', tmp_path / 'others' / name)
    config = tmp_path / 'retrieval.py'
    others = tmp_path / 'others'
    config.write_text(RETRIEVAL.format(trained=image_folder, others=others, classes=2))
    tool('train', config, '--work-dir', work)
    tool('test', config, work / 'epoch_1.pth', '--work-dir', work)
    config.write_text(RETRIEVAL.format(trained=others, others=image_folder, classes=2))
    assert 'train_dataloader have 3 classes' in stopped('train', config, '--work-dir', work)


@pytest.mark.parametrize('text', ['language_model', 'text_encoder'])
def test_classes_that_are_named_by_text(text: str) -> None:
    """Grounding DINO's head has 256 places for words, whatever the classes; SAN's asks CLIP."""
    from mmdet.models.dense_heads import GroundingDINOHead
    init_default_scope('mmdet')
    model = nn.Module()
    model.bbox_head = GroundingDINOHead(num_classes=256, embed_dims=8, contrastive_cfg={},
                                        loss_cls=dict(type='FocalLoss', use_sigmoid=True))
    many = SimpleNamespace(metainfo=dict(classes=[str(i) for i in range(1203)]))
    assert check_heads(model, many, 'train')[0].level == logging.ERROR
    assert level_of_names(model) == logging.ERROR
    model.add_module(text, nn.Identity())
    assert check_heads(model, many, 'train') == []
    assert level_of_names(model) == logging.NOTSET


class OwnHead(nn.Module):
    """A user's own, whose ``num_classes`` may mean anything."""

    num_classes = 2


def test_heads_of_users_get_a_warning() -> None:
    model = nn.Module()
    model.decode_head = OwnHead()
    data = SimpleNamespace(metainfo=dict(classes='abc'))
    finding, = check_heads(model, data, 'train')
    assert finding.level == level_of_names(model) == logging.WARNING


def test_mask_heads_without_classes() -> None:
    """``num_classes`` of mmdet's class-agnostic head is 80 in any case."""
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    model, data = nn.Module(), SimpleNamespace(metainfo=dict(classes=range(90)))
    model.mask_head = FCNMaskHead(num_convs=0, class_agnostic=True)
    assert check_heads(model, data, 'train') == []


def test_trackers() -> None:
    """ByteTrack's MOT data name 13 classes, of which its detector, trained on others, has one."""
    few, more = (SimpleNamespace(metainfo=dict(classes=names)) for names in ('a', 'abc'))
    assert check_splits(few, more) == check_splits(more, few) == []
    assert check_splits(SimpleNamespace(metainfo=dict(classes='b')), more)
