"""Who learns what from whom, and what a checkpoint holds."""
import pickle
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from tests.distillation.test_unlabelled import SWIN
from vit_plugin.distillation import TeacherCheckHook
from vit_plugin.distillation.student_config import without_teachers

from .conftest import student_config, teacher_config

Batch = tuple[torch.Tensor, list]


def build(checkpoint: Path | None, **changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    teacher = {**teacher_config(), 'checkpoint': checkpoint}
    model = MODELS.build(student_config(teacher=teacher, **changes))
    model.init_weights()
    return model


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters())
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return {name: g for name, g in zip(names, found) if g is not None and g.abs().max() > 0}


def test_each_token_has_its_own_lesson(checkpoint: Path, batch: Batch) -> None:
    model = build(checkpoint)
    losses = model.loss(*batch)
    labels, teacher = (gradients(model, losses[k]) for k in ('loss_cls', 'loss_distill'))
    assert 'head.layers.head.weight' in labels
    assert 'head.layers.head_dist.weight' not in labels
    assert 'head.layers.head_dist.weight' in teacher
    assert 'head.layers.head.weight' not in teacher
    # the labels reach nothing but the first term, the teacher nothing but the second
    changed = [deepcopy(sample).set_gt_label(4) for sample in batch[1]]
    others = model.loss(batch[0], changed)
    assert others['loss_cls'] != losses['loss_cls']
    assert others['loss_distill'] == losses['loss_distill']


def test_copies_leave_the_teacher_where_it_is(checkpoint: Path, batch: Batch) -> None:
    model = build(checkpoint)
    before = model.loss(*batch)
    copy = deepcopy(model).half()
    assert copy.teacher is model.teacher
    assert model.loss(*batch) == before
    with pytest.raises(ValueError, match='needs validation data'):  # its scores are still learnt
        TeacherCheckHook(50.).before_train(SimpleNamespace(model=copy, val_loop=None))
    del copy
    model.double()
    assert next(model.teacher.model.parameters()).dtype is torch.float64
    model = deepcopy(model)  # the original is gone, so this one leads
    assert next(model.float().teacher.model.parameters()).dtype is torch.float32


@pytest.mark.parametrize('kind', ['vit_plugin.DistilledClassifier', 'vit_plugin.Distilled'])
def test_pickled(kind: str, checkpoint: Path, batch: Batch) -> None:
    changes = {} if kind.endswith('Classifier') else dict(
        type=kind, student_type='mmpretrain.ImageClassifier', backbone=SWIN,
        head=dict(type='LinearClsHead', num_classes=5, in_channels=16),
        neck=dict(type='GlobalAveragePooling'))
    model = build(checkpoint, **changes).eval()
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is type(model)
    assert again.loss(*batch) == model.loss(*batch)
    assert deepcopy(model).loss(*batch) == model.loss(*batch)


def test_heads_with_a_loss_of_their_own_are_refused(checkpoint: Path) -> None:
    head = dict(type='ArcFaceClsHead', num_classes=5, in_channels=16)
    with pytest.raises(ValueError, match=r'ArcFaceClsHead computes its loss .*Distilled'):
        build(checkpoint, head=head)


def test_nothing_to_distil() -> None:
    for changes in (dict(teacher=[]), dict(teacher=teacher_config(), distillation=[])):
        with pytest.raises(ValueError, match='nothing is distilled with teacher='):
            MODELS.build(student_config(**changes))


def test_total_is_the_published_formula(checkpoint: Path, batch: Batch) -> None:
    model = build(checkpoint)
    cls_score, dist_score = model.scores(model.extract_feat(batch[0]))
    teacher = model.teacher.model(batch[0])
    label = F.cross_entropy(cls_score, torch.arange(4))
    losses = model.loss(*batch)
    hard = 0.5 * label + 0.5 * F.cross_entropy(dist_score, teacher.argmax(1))
    total = losses['loss_cls'] + losses['loss_distill']
    assert total.item() == pytest.approx(hard.item(), abs=1e-6)
    assert losses['agreement'] == (dist_score.argmax(1) == teacher.argmax(1)).float().mean()

    soft = build(checkpoint, distillation=dict(type='vit_plugin.SoftDistillation'))
    p, q = (teacher / 3).softmax(1), (dist_score / 3).softmax(1)
    expected = 0.9 * label + 0.1 * 9 * (p * (p / q).log()).sum(1).mean()
    losses = soft.loss(*batch)
    total = losses['loss_cls'] + losses['loss_distill']
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)


def test_prediction_averages_both_tokens(checkpoint: Path, batch: Batch) -> None:
    model = build(checkpoint).eval()
    cls_score, dist_score = model.scores(model.extract_feat(batch[0]))
    expected = ((cls_score + dist_score) / 2).softmax(1)
    predicted = torch.stack([sample.pred_score for sample in model.predict(batch[0])])
    assert torch.allclose(predicted, expected, atol=1e-6)


def test_checkpoint_holds_the_student_alone(checkpoint: Path, batch: Batch) -> None:
    model = build(checkpoint).eval()
    stock = dict(student_config(), type='mmpretrain.ImageClassifier')
    del stock['distillation']
    stock['backbone'] = dict(stock['backbone'], type='DistilledVisionTransformer')
    stock['head'] = dict(stock['head'], type='DeiTClsHead')
    plain = MODELS.build(stock).eval()
    plain.load_state_dict(model.state_dict(), strict=True)
    assert torch.allclose(plain(batch[0]), model(batch[0]), atol=1e-5)
    assert len(list(model.parameters())) == len(list(plain.parameters()))


@pytest.mark.parametrize('kind', ['Swin', 'mmpretrain'])
def test_student_without_distillation_token(checkpoint: Path, batch: Batch, kind: str) -> None:
    if kind == 'Swin':
        backbone = dict(type='vit_plugin.SwinTransformer', window_size=2, out_indices=1,
                        arch=dict(embed_dims=8, depths=(2, 2), num_heads=(1, 2)))
    else:
        backbone = dict(type='ResNet_CIFAR', depth=18, base_channels=2, stem_channels=2)
    model = build(checkpoint, backbone=backbone, neck=dict(type='GlobalAveragePooling'),
                  head=dict(type='LinearClsHead', num_classes=5, in_channels=16))
    losses = model.loss(*batch)
    for loss in (losses['loss_cls'], losses['loss_distill']):
        assert 'head.fc.weight' in gradients(model, loss)


def test_head_without_teacher_is_refused() -> None:
    with pytest.raises(TypeError, match='teacher'):
        MODELS.build(student_config())


def test_class_counts_must_agree(checkpoint: Path) -> None:
    head = dict(student_config()['head'], num_classes=7)
    with pytest.raises(ValueError, match=r'\(1, 7\).*\(1, 5\).*same number of classes'):
        build(checkpoint, head=head)


@pytest.mark.parametrize(('loss', 'teacher', 'message'), [
    ('CWD', teacher_config(), r'\(1, 5\)\], with .* ImageClassifier, .*CWD compares \(B, C, H'),
    ('HardDistillation', dict(type='timm.create_model', model_name='test_resnet', num_classes=0),
     r"'head' of the student, .*\(1, 5\).*'output' of the teacher ResNet, \[\(1, 96\)\]"),
])
def test_outputs_that_are_no_scores_of_the_classes(loss: str, teacher: dict, message: str) -> None:
    """Before training, also where the teacher does not tell how many classes it has."""
    config = student_config(
        teacher=dict(teacher, checkpoint=None), distillation=dict(type=f'vit_plugin.{loss}'),
        neck=dict(type='GlobalAveragePooling'), backbone=dict(
            type='ResNet_CIFAR', depth=18, base_channels=2, stem_channels=2),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=16))
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


def test_teacher_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='checkpoint'):
        MODELS.build(student_config(teacher=teacher_config()))
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        build(tmp_path / 'absent.pth')


def test_distillation_must_be_a_loss(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match='distillation'):
        build(checkpoint, distillation=dict(type='mmpretrain.CrossEntropyLoss'))


@pytest.mark.parametrize('kind', ['vit_plugin.DistilledClassifier', 'vit_plugin.Distilled'])
def test_evaluation_needs_no_teacher(kind: str, checkpoint: Path, batch: Batch) -> None:
    """The plain student predicts the same, also within test-time augmentation."""
    model = build(checkpoint).eval()
    config = student_config(type=kind, teacher=dict(config='absent.py'), labels=True)
    if kind == 'vit_plugin.Distilled':
        config['student_type'] = 'mmpretrain.ImageClassifier'
    plain = without_teachers(dict(type='TTA', module=config))['module']
    assert without_teachers(plain) is plain
    student = MODELS.build(plain).eval()
    student.load_state_dict(model.state_dict(), strict=True)
    expected, found = (torch.stack([sample.pred_score for sample in one.predict(batch[0])])
                       for one in (model, student))
    assert torch.equal(expected, found)
