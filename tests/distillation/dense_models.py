"""A small detector or segmentor, its batch, and a teacher for it."""
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from tests.conftest import ROOT
from tests.shrink import shrunk

CONFIGS = ROOT / 'configs'
DETECTOR = CONFIGS / 'detection/mask-rcnn_swin-tiny_fpn_1x_coco.py'
RETINANET = CONFIGS / 'detection/retinanet_swin-tiny_fpn_1x_coco.py'
SEGMENTOR = CONFIGS / 'segmentation/upernet_swin-tiny_160k_ade20k-512x512.py'


def with_scope(config: Any) -> nn.Module:
    with DefaultScope.overwrite_default_scope(config.default_scope):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.init_weights()
    return model


class Dense:
    """A plain dense model, its batch, and the same model with a teacher of twice the depth."""

    def __init__(self, path: Path, data: Path, folder: Path, teacher_path: Path | None = None
                 ) -> None:
        from mmengine.runner import Runner
        config = shrunk(path, data)
        config.model.backbone.drop_path_rate = 0.
        if 'decode_head' in config.model:
            config.model.decode_head.dropout_ratio = config.model.auxiliary_head.dropout_ratio = 0.
        self.config = config
        self.plain = with_scope(config)
        with DefaultScope.overwrite_default_scope(config.default_scope):
            data_loader = Runner.build_dataloader(config.train_dataloader, seed=0)
        self.batch = self.plain.data_preprocessor(next(iter(data_loader)), training=True)
        teacher = shrunk(teacher_path or path, data)
        teacher.model.backbone.arch.depths = (1, 1, 1, 1)
        model = with_scope(teacher)
        self.teacher_file, self.weights = folder / 'teacher.py', folder / 'teacher.pth'
        teacher.dump(self.teacher_file)
        torch.save(dict(state_dict=model.state_dict()), self.weights)

    def distilled(self, *losses: Any, **teacher: Any) -> nn.Module:
        config = self.config.copy()
        config.model = dict(
            config.model, type='vit_plugin.Distilled', student_type=self.config.model.type,
            teacher=dict(config=str(self.teacher_file), checkpoint=str(self.weights), **teacher),
            distillation=losses[0] if len(losses) == 1 else list(losses))
        with DefaultScope.overwrite_default_scope(config.default_scope):
            model = MODELS.build(config.model)
        model.load_state_dict(self.plain.state_dict())
        return model

    def losses(self, model: nn.Module) -> dict[str, Any]:
        torch.manual_seed(1)
        return model(**self.batch, mode='loss')

    @property
    def images(self) -> Tensor:
        return self.batch['inputs']
