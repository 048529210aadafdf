"""The toolkits' own tools work on a `SeededDataset` as on the data set in it."""
import runpy
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree

import pytest
from mmengine.config import Config

from tests.conftest import ROOT, WNIDS, needs
from tests.shrink import shrunk

Stock = Callable[..., None]


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stock:
    """``stock('mmdet', 'analysis_tools/browse_dataset.py', 'config.py')`` runs a stock tool."""
    def run(toolkit: str, tool: str, *arguments: object) -> None:
        needs(toolkit)
        path = Path(find_spec(toolkit).origin).parent / '.mim/tools' / tool
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name='__main__')
    return run


def shown(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dense(kind: str, name: str, data: Path, tmp_path: Path) -> Path:
    cfg = shrunk(ROOT / f'configs/{kind}/{name}.py', data)
    assert cfg.train_dataloader.dataset.type == 'vit_plugin.SeededDataset'
    cfg.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def test_browse_detection(stock: Stock, coco: Path, tmp_path: Path) -> None:
    config = dense('detection', 'mask-rcnn_swin-tiny_fpn_1x_coco', coco, tmp_path)
    stock('mmdet', 'analysis_tools/browse_dataset.py', config, '--not-show',
          '--output-dir', tmp_path / 'shown')
    assert shown(tmp_path / 'shown') == [f'{i}.png' for i in range(4)]


def test_browse_segmentation(stock: Stock, ade: Path, tmp_path: Path) -> None:
    needs('mmseg')
    if import_module('mmseg').__version__ < '1.3':
        pytest.skip('mmseg 1.2.2 draws names into a view, which OpenCV 4.11 refuses')
    config = dense('segmentation', 'upernet_swin-tiny_160k_ade20k-512x512', ade, tmp_path)
    stock('mmseg', 'analysis_tools/browse_dataset.py', config, '--not-show',
          '--output-dir', tmp_path / 'shown')
    assert shown(tmp_path / 'shown') == [f'{i}.jpg' for i in range(4)]


def test_browse_classification(stock: Stock, imagenet: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(ROOT / 'configs/classification/deit-tiny_8xb128_in1k.py')
    cfg.train_dataloader.dataset.dataset.update(data_root=str(imagenet),
                                                metainfo=dict(classes=WNIDS))
    cfg.dump(tmp_path / 'config.py')
    stock('mmpretrain', 'visualization/browse_dataset.py', tmp_path / 'config.py', '--not-show',
          '--output-dir', tmp_path / 'shown', '--mode', 'original')
    assert shown(tmp_path / 'shown') == sorted(
        path.name for path in imagenet.glob('train/*/*'))


SMALL = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='vit_plugin.DeiT', img_size=32, patch_size=16, arch=dict(
        embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)),
    head=dict(type='vit_plugin.DeiTHead', num_classes=2, in_channels=8))
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)),
            dict(type='PackInputs')]
data = dict(type='vit_plugin.ImageFolder', data_root='{folder}', pipeline=pipeline)
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(type='vit_plugin.SeededDataset', dataset=data),
    sampler=dict(type='vit_plugin.SeededSampler',
                 sampler=dict(type='DefaultSampler', shuffle=True)))
val_dataloader = dict(batch_size=2, num_workers=0, dataset=data,
                      sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Accuracy', topk=1)
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict()
test_dataloader = test_cfg = test_evaluator = None
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
custom_hooks = [dict(type='vit_plugin.SeedHook'), dict(type='vit_plugin.CheckHook')]
"""


@pytest.mark.slow
def test_k_fold_cross_validation(stock: Stock, image_folder: Path, tmp_path: Path) -> None:
    """Each fold trains and validates on its own part of the data."""
    (tmp_path / 'config.py').write_text(SMALL.format(folder=image_folder))
    stock('mmpretrain', 'kfold-cross-valid.py', tmp_path / 'config.py', '--num-splits', 2,
          '--seed', 1, '--no-persistent-workers', '--work-dir', tmp_path / 'work')
    for fold in range(2):
        log = next((tmp_path / f'work/fold{fold}').glob('*/*.log')).read_text()
        assert 'Number of samples: \t4' in log
        assert 'accuracy/top1' in log


def test_verify_dataset(stock: Stock, image_folder: Path, tmp_path: Path) -> None:
    """The tool asks the outermost data set for a pipeline."""
    copytree(image_folder, tmp_path / 'folder')
    broken = tmp_path / 'folder/light/2.png'
    broken.write_bytes(broken.read_bytes()[:50])
    (tmp_path / 'config.py').write_text(
        SMALL.format(folder=tmp_path / 'folder')
        + 'train_dataloader["dataset"].update(pipeline=data.pop("pipeline"))')
    stock('mmpretrain', 'misc/verify_dataset.py', tmp_path / 'config.py')
    assert (tmp_path / 'brokenfiles.log').read_text().split() == [str(broken)]
