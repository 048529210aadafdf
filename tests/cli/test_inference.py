"""mmdet's and mmseg's inference on plugin configs, and on weights of their own Swin."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model
from torch import nn

from tests.conftest import ROOT
from tests.shrink import SWIN, shrunk
from tests.test_configs_dense import build

DETECTION = ROOT / 'configs/detection/mask-rcnn_swin-tiny_fpn_1x_coco.py'
SEGMENTATION = ROOT / 'configs/segmentation/upernet_swin-tiny_160k_ade20k-512x512.py'
SHIFTED = dict(SWIN, depths=(2, 2, 2, 2))


def with_stock_swin(cfg: Config) -> Config:
    """The same config with the toolkit's own Swin."""
    stock = Config(cfg._cfg_dict.to_dict())
    stock.model.backbone = dict(type='SwinTransformer', window_size=7,
                                out_indices=(0, 1, 2, 3), drop_path_rate=0.2, **SHIFTED)
    return stock


def randomise(model: nn.Module) -> None:
    """Weights that make detectors sure of something and norms that are no identity."""
    for name, parameter in model.named_parameters():
        if '_reg.' in name:
            nn.init.normal_(parameter, std=0.01)
        elif 'norm' in name or parameter.ndim < 2:
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)


def write(cfg: Config, model: nn.Module, folder: Path, **meta: Any) -> tuple[str, str]:
    """A config file and a checkpoint in the toolkits' form; their paths."""
    cfg.dump(folder / 'dense_inference.py')
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta)),
               folder / 'model.pth')
    return str(folder / 'dense_inference.py'), str(folder / 'model.pth')


@pytest.fixture
def detector(coco: Path) -> Config:
    cfg = shrunk(DETECTION, coco)
    cfg.model.backbone.arch = SHIFTED
    return cfg


@pytest.fixture
def segmentor(ade: Path) -> Config:
    cfg = shrunk(SEGMENTATION, ade)
    cfg.model.backbone.arch = SHIFTED
    return cfg


def test_detector_gives_the_boxes_of_mmdets_swin(detector: Config, coco: Path,
                                                 tmp_path: Path) -> None:
    stock_cfg = with_stock_swin(detector)
    stock = build(stock_cfg)
    randomise(stock)
    config, checkpoint = write(detector, stock, tmp_path, classes=('grey', 'white'))
    ours = init_detector(config, checkpoint, device='cpu', palette='coco')
    assert type(ours.backbone).__module__ == 'vit_plugin.backbones.swin'
    theirs = init_detector(stock_cfg, checkpoint, device='cpu', palette='coco')
    image = str(coco / 'images/0.png')
    found = inference_detector(ours, image).pred_instances
    expected = inference_detector(theirs, image).pred_instances
    assert len(expected) > 4
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.labels, expected.labels)
    assert (found.masks == expected.masks).float().mean() > 0.999

    inferred = DetInferencer(config, checkpoint, device='cpu', show_progress=False)(
        image, out_dir=str(tmp_path / 'out'))['predictions'][0]
    assert inferred['bboxes'] == pytest.approx(found.bboxes.numpy(), abs=1e-3)
    assert (tmp_path / 'out/vis/0.png').is_file()


def test_segmentor_gives_the_labels_of_mmsegs_swin(segmentor: Config, ade: Path,
                                                   tmp_path: Path) -> None:
    stock_cfg = with_stock_swin(segmentor)
    stock = build(stock_cfg)
    randomise(stock)
    classes = [str(i) for i in range(150)]
    palette = [[i, i, i] for i in range(150)]
    config, checkpoint = write(segmentor, stock, tmp_path, classes=classes, palette=palette)
    image = str(ade / 'images/0.jpg')
    ours = init_model(config, checkpoint, device='cpu')
    assert type(ours.backbone).__module__ == 'vit_plugin.backbones.swin'
    theirs = init_model(stock_cfg, checkpoint, device='cpu')
    found, expected = (inference_model(model, image) for model in (ours, theirs))
    torch.testing.assert_close(found.seg_logits.data, expected.seg_logits.data,
                               rtol=1e-4, atol=1e-4)
    labels = expected.pred_sem_seg.data[0].numpy()
    assert len(np.unique(labels)) > 1

    inferred = MMSegInferencer(config, checkpoint, classes=classes, palette=palette,
                               device='cpu')(image)
    assert (inferred['predictions'] == labels).mean() > 0.999
