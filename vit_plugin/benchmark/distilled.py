"""The classifiers with teachers that ``vit-plugin benchmark`` compares; mmpretrain builds them."""
from typing import Any

from torch import Tensor, nn

from vit_plugin.backbones.archs import DEIT
from vit_plugin.toolkits import import_toolkit

# A loss of each kind; those on maps compare all four stages.
LOSSES: dict[str, dict[str, object]] = {
    'HardDistillation': {}, 'SoftDistillation': {}, 'DIST': {}, 'DKD': {},
    'StandardisedDistillation': {}, 'PKD': {}, 'MGD': {}, 'FeatureDistillation': {},
    'SimilarityDistillation': {}, 'LocalSimilarityDistillation': {},
    'CWD': dict(student='backbone', teacher='backbone'),
    'PixelDistillation': dict(student='backbone', teacher='backbone')}


def build(config: dict[str, object]) -> nn.Module:
    """A model of mmpretrain's."""
    import_toolkit('mmpretrain.models')
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import MODELS
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(config)


def distilled_classifier(name: str, teacher: dict[str, object] | None, batch: int
                         ) -> tuple[nn.Module, list]:
    """A DeiT with a RegNetY-16GF teacher, or without, and the labels of a batch.

    ``teacher`` holds options of the plugin's `Teacher`; both have random weights.
    """
    backbone, head = 'DeiT', 'DeiTHead'
    distillation: dict[str, object] = dict(type='ImageClassifier')
    if teacher is not None:
        backbone, head = 'DistilledDeiT', 'DistilledDeiTHead'
        distillation = dict(
            type='vit_plugin.DistilledClassifier',
            teacher=dict(type='TimmClassifier', model_name='regnety_160', checkpoint=None,
                         **teacher),
            distillation=dict(type='vit_plugin.HardDistillation'))
    model = build(dict(
        **distillation, backbone=dict(type=f'vit_plugin.{backbone}', arch=name),
        head=dict(type=f'vit_plugin.{head}', num_classes=1000,
                  in_channels=DEIT[name.split('-')[1]]['embed_dims'])))
    from mmpretrain.structures import DataSample

    from vit_plugin.training.sampling import SampleKey
    samples = []
    for i in range(batch):
        sample = DataSample(metainfo=dict(sample_key=SampleKey(0, 0, i), num_samples=batch))
        samples.append(sample.set_gt_label(i))
    return model, samples


def distilled_swin(name: str, loss: str | None) -> nn.Module:
    """A Swin classifier with a Swin-S teacher of the same widths and a loss, or without."""
    config = swin_classifier(name.split('-')[1])
    if loss is not None:
        config |= dict(
            type='vit_plugin.DistilledClassifier',
            teacher=dict(swin_classifier('small'), checkpoint=None),
            distillation=dict(type=f'vit_plugin.{loss}', **LOSSES[loss]))
    return build(config)


def swin_classifier(arch: str) -> dict[str, object]:
    """The config of a classifier that gives the maps of all stages."""
    return dict(
        type='ImageClassifier', neck=dict(type='GlobalAveragePooling'),
        backbone=dict(type='vit_plugin.SwinTransformer', arch=arch, out_indices=(0, 1, 2, 3),
                      drop_path_rate=0.),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=768))


def total_loss(model: Any, x: Tensor, samples: list) -> Tensor:
    """The sum of a classifier's losses."""
    return sum(value for name, value in model.loss(x, samples).items() if 'loss' in name)


def asked_loss(model: Any, x: Tensor, samples: list) -> Tensor:
    """The sum of a distilled classifier's own losses, with the teacher's forward beside it."""
    model.teacher.outputs(x)
    return sum(model.own_losses(x, samples).values())
