"""Scores of sigmoids, and single ones, are compared class by class, or refused."""
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

from tests.conftest import needs
from tests.distillation.conftest import student_config, teacher_config
from tests.distillation.dense_models import RETINANET, Dense
from vit_plugin.distillation import CWD, HardDistillation, PixelDistillation, SoftDistillation
from vit_plugin.distillation.losses import agreement

RESNET = dict(type='ResNet_CIFAR', depth=18, base_channels=2, stem_channels=2)


def scores(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(shape, generator=generator) * 3 for _ in range(2))
    return one.requires_grad_(), other


def two_classes(x: Tensor) -> Tensor:
    """(B, 1, ...) -> (B, 2, ...): a sigmoid is the softmax over a score and 0."""
    return torch.cat((x, torch.zeros_like(x)), 1)


@pytest.mark.parametrize('kind', [HardDistillation, SoftDistillation, PixelDistillation])
def test_each_class_is_a_question_of_two_answers(kind: Any) -> None:
    maps = (4, 5) if kind is PixelDistillation else ()
    student, teacher = scores(3, 6, *maps)
    found = kind(sigmoid=True)(student, teacher)
    of_classes = [kind()(two_classes(s), two_classes(t))
                  for s, t in zip(student.split(1, 1), teacher.split(1, 1))]
    torch.testing.assert_close(found, sum(of_classes))
    gradient, = torch.autograd.grad(found, student)
    expected, = torch.autograd.grad(sum(of_classes), student)
    torch.testing.assert_close(gradient, expected)
    assert gradient.abs().min() > 0 or kind is HardDistillation


def test_agreement_counts_classes() -> None:
    student, teacher = torch.tensor([[1., -1.], [2., 3.]]), torch.tensor([[1., 2.], [3., 1.]])
    assert agreement(student, teacher, sigmoid=True) == 0.75


def multi_label(classes: int = 5, **changes: Any) -> dict:
    """A student with several labels."""
    return student_config(**{**dict(
        type='vit_plugin.Distilled', student_type='mmpretrain.ImageClassifier', backbone=RESNET,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='MultiLabelLinearClsHead', num_classes=classes, in_channels=16)), **changes})


def of_sigmoids(classes: int = 5) -> dict:
    """A teacher with several labels."""
    return teacher_config(checkpoint=None, head=dict(
        type='MultiLabelLinearClsHead', num_classes=classes, in_channels=32))


def with_scores(batch: tuple, classes: int) -> tuple:
    """The batch, every image with all labels but one."""
    for i, sample in enumerate(batch[1]):
        sample.set_gt_score((torch.arange(classes) != i).float())
    return batch


@pytest.mark.parametrize('classes', [5, 1])
@pytest.mark.parametrize('kind', ['Hard', 'Soft'])
def test_several_labels_are_learnt_by_sigmoids(kind: str, classes: int, batch: tuple) -> None:
    """Also a single one."""
    model = MODELS.build(multi_label(classes, teacher=of_sigmoids(classes), distillation=dict(
        type=f'vit_plugin.{kind}Distillation')))
    losses = model.loss(*with_scores(batch, classes))
    teacher = model.teacher(batch[0])
    student = model(batch[0], mode='tensor')
    if kind == 'Hard':
        expected = 0.5 * F.binary_cross_entropy_with_logits(
            student, (teacher > 0).float(), reduction='sum') / 4
    else:
        p, q = (teacher / 3).sigmoid(), (student / 3).sigmoid()
        kl = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
        expected = 0.1 * 9 * kl.sum() / 4
    torch.testing.assert_close(losses['loss_distill'], expected, rtol=1e-4, atol=1e-6)
    losses['loss_distill'].backward()
    assert model.head.fc.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('kind', ['DIST', 'DKD', 'StandardisedDistillation'])
@pytest.mark.parametrize('classes', [5, 1])
def test_losses_that_have_no_sigmoid_form_are_refused(kind: str, classes: int) -> None:
    scores = 'a single score' if classes == 1 else 'sigmoids, one for each class'
    with pytest.raises(ValueError, match=f'{kind} compares a softmax.* are {scores}: take '):
        MODELS.build(multi_label(classes, teacher=of_sigmoids(classes), distillation=dict(
            type=f'vit_plugin.{kind}')))


def test_a_single_score_of_any_head_has_no_softmax() -> None:
    with pytest.raises(ValueError, match='the softmax of a single score is always 1'):
        MODELS.build(multi_label(1, teacher=of_sigmoids(1), distillation=dict(
            type='vit_plugin.SoftDistillation', sigmoid=False)))


def test_one_label_and_several_do_not_match(checkpoint: Path) -> None:
    teacher, soft = teacher_config(checkpoint=str(checkpoint)), 'vit_plugin.SoftDistillation'
    with pytest.raises(ValueError, match=r'student, which are for sigmoids.*ImageClassifier, for '
                                         'a softmax'):
        MODELS.build(multi_label(teacher=teacher, distillation=dict(type=soft)))
    model = MODELS.build(multi_label(teacher=teacher, distillation=dict(type=soft, sigmoid=True)))
    assert model.distillation.sigmoid


def test_single_labels_that_sigmoids_learn_keep_the_softmax(checkpoint: Path) -> None:
    """As "ResNet strikes back" learns them; the highest score decides."""
    head = dict(type='LinearClsHead', num_classes=5, in_channels=16,
                loss=dict(type='CrossEntropyLoss', use_sigmoid=True))
    model = MODELS.build(multi_label(
        head=head, teacher=teacher_config(checkpoint=str(checkpoint)),
        distillation=dict(type='vit_plugin.SoftDistillation')))
    assert not model.distillation.sigmoid


def test_hugging_face_tells_of_several_labels(tmp_path: Path) -> None:
    transformers = pytest.importorskip('transformers')
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        image_size=32, patch_size=8, num_labels=5, problem_type='multi_label_classification')
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    teacher = dict(type='HuggingFaceClassifier', model_name=str(tmp_path), pretrained=True,
                   checkpoint=None, data_preprocessor=dict(mean=[0.] * 3, std=[1.] * 3))
    model = MODELS.build(multi_label(teacher=teacher, distillation=dict(
        type='vit_plugin.SoftDistillation')))
    assert model.distillation.sigmoid
    with pytest.raises(ValueError, match=r'for a softmax over the classes, with .* for sigmoids'):
        MODELS.build(student_config(teacher=teacher))


def test_labels_of_another_image_are_not_taken(checkpoint: Path, batch: tuple) -> None:
    """Image 0 has two labels, of which the second is none of image 1."""
    model = MODELS.build(student_config(teacher=teacher_config(checkpoint=str(checkpoint)),
                                        distillation=dict(type='vit_plugin.DKD')))
    batch[1][0].set_gt_label([0, 1])
    batch[1][3].gt_label = torch.zeros(0, dtype=torch.long)
    model.own_losses = lambda *_: (model.extract_feat(batch[0]) and model.head(
        model.extract_feat(batch[0])) is None) or {}
    with pytest.raises(ValueError, match=r'DKD needs one class .* these have \[2, 1, 1, 0\] lab'):
        model.loss(*batch)


def test_binary_segmentor_learns(segmentor: Dense) -> None:
    """``out_channels=1``: PixelDistillation was 0, without a gradient."""
    config = segmentor.config.copy()
    for head in (config.model.decode_head, config.model.auxiliary_head):
        head.update(num_classes=2, out_channels=1, threshold=0.5,
                    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
    plain = dict(config.model, data_preprocessor=config.model.data_preprocessor)
    teacher = dict(plain, checkpoint=None)
    model = dict(config.model, type='vit_plugin.Distilled', student_type='EncoderDecoder',
                 teacher=teacher)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(model, distillation=dict(type='vit_plugin.PixelDistillation')))
        images = segmentor.images
        for sample in segmentor.batch['data_samples']:
            sample.gt_sem_seg.data.clamp_(max=1)
        loss = model.loss(images, segmentor.batch['data_samples'])['loss_distill']
    assert loss > 0
    gradient, = torch.autograd.grad(loss, model.decode_head.conv_seg.weight)
    assert gradient.abs().sum() > 0


def test_dense_scores_of_sigmoids(coco: Path, tmp_path: Path) -> None:
    """A RetinaNet's, of anchors and classes, had a softmax over all of them."""
    needs('mmdet')
    dense = Dense(RETINANET, coco, tmp_path)
    tap = dict(student='bbox_head.retina_cls', teacher='bbox_head.retina_cls')
    model = dense.distilled(dict(type='vit_plugin.PixelDistillation', **tap))
    assert model.distillation.sigmoid
    with pytest.raises(ValueError, match='DIST compares a softmax'):
        dense.distilled(dict(type='vit_plugin.DIST', **tap))


def test_a_map_of_one_pixel_has_no_softmax() -> None:
    assert 'a single one is always 1' in CWD().mismatch((2, 5, 1, 1), (2, 5, 1, 1))
    assert CWD().mismatch((2, 1, 2, 1), (2, 1, 2, 1)) is None
