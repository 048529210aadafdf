"""Any model of the three toolkits learns from a teacher, and stays the plain model otherwise."""
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_checkpoint, save_checkpoint
from torch import Tensor

from tests.conftest import needs
from tests.distillation.conftest import student_config, teacher_config
from tests.distillation.dense_models import DETECTOR, RETINANET, Dense
from tests.shrink import WIDTHS


def pkd(student: Tensor, teacher: Tensor) -> Tensor:
    ours, theirs = (x.movedim(1, 0).flatten(1) for x in (student, teacher))
    ours, theirs = ((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-6)
                    for x in (ours, theirs))
    return (ours - theirs).square().mean() / 2


def test_detector_learns_from_the_levels_of_the_neck(detector: Dense) -> None:
    model = detector.distilled(dict(type='vit_plugin.PKD'))
    losses, plain = detector.losses(model), detector.losses(detector.plain)
    student, teacher = (m.extract_feat(detector.images) for m in (model, model.teacher.model))
    expected = 6 * sum(pkd(s, t) for s, t in zip(student, teacher))
    assert len(student) == 5
    torch.testing.assert_close(losses.pop('loss_distill'), expected)
    torch.testing.assert_close(losses, plain, rtol=0, atol=0)  # the student's own, unchanged


def test_segmentor_learns_from_the_scores_of_pixels(segmentor: Dense) -> None:
    model = segmentor.distilled(dict(type='vit_plugin.CWD'))
    losses, plain = segmentor.losses(model), segmentor.losses(segmentor.plain)
    student, teacher = (m(segmentor.images, mode='tensor').flatten(2).softmax(2)
                        for m in (model, model.teacher.model))
    expected = 5 * (teacher * (teacher / student).log()).sum(2).mean()
    torch.testing.assert_close(losses.pop('loss_distill'), expected, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(losses, plain, rtol=0, atol=0)


def test_a_detector_of_another_kind_teaches(coco: Path, tmp_path: Path) -> None:
    """A RetinaNet's neck starts at stride 8, that of a Mask R-CNN at 4."""
    dense = Dense(RETINANET, coco, tmp_path, teacher_path=DETECTOR)
    loss = dict(type='vit_plugin.PKD')
    with pytest.raises(ValueError, match=r'PKD cannot compare .*student, .*\(1, 64, 16, 20\).* '
                                         r'MaskRCNN, .*\(1, 64, 32, 40\).*same'):
        dense.distilled(loss)
    model = dense.distilled(dict(loss, student='neck[:4]', teacher='neck[1:5]'),
                            dict(loss, student='neck[1]', teacher='neck[1]', resize=True))
    losses = dense.losses(model)
    student, teacher = (m.extract_feat(dense.images) for m in (model, model.teacher.model))
    expected = 6 * sum(pkd(student[i], teacher[i + 1]) for i in range(4))
    torch.testing.assert_close(losses['loss_distill_pkd'], expected)
    resized = F.interpolate(student[1], teacher[1].shape[2:], mode='bilinear')
    torch.testing.assert_close(losses['loss_distill_pkd_1'], 6 * pkd(resized, teacher[1]))


def test_what_a_loss_learns_is_no_part_of_the_student(detector: Dense, tmp_path: Path) -> None:
    loss = dict(type='vit_plugin.FeatureDistillation', student='backbone', teacher='backbone')
    model = detector.distilled(loss)
    learnt = dict(model.distillation.named_parameters())
    assert [value.shape for name, value in learnt.items() if 'weight' in name] == [
        (width, width) for width in WIDTHS]
    sum(x if isinstance(x, Tensor) else sum(x) for name, x in detector.losses(model).items()
        if 'loss' in name).backward()
    assert all(value.grad.abs().sum() > 0 for value in learnt.values())
    assert {id(value) for value in learnt.values()} <= {id(p) for p in model.parameters()}
    # a checkpoint of mmengine's gives the projections back, and loads into the plain student
    save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / 'student.pth'))
    detector.plain.load_state_dict(torch.load(tmp_path / 'student.pth')['state_dict'], strict=True)
    other = detector.distilled(loss)
    assert not torch.equal(other.distillation[0].project.weight, learnt['0.project.weight'])
    load_checkpoint(other, str(tmp_path / 'student.pth'), strict=True)
    for name, value in other.distillation.named_parameters():
        assert torch.equal(value, learnt[name]), name
    other.load_state_dict(detector.plain.state_dict(), strict=True)  # nothing about projections
    assert torch.equal(other.distillation[0].project.weight, learnt['0.project.weight'])


def test_what_other_losses_learnt_is_not_taken(detector: Dense) -> None:
    one = detector.distilled(dict(type='vit_plugin.MGD'))
    other = detector.distilled(dict(type='vit_plugin.FeatureDistillation', student='neck[0]',
                                    teacher='neck[0]'))
    before = other.distillation.project.weight.clone()
    other.load_state_dict(one.state_dict(), strict=True)
    assert torch.equal(other.distillation.project.weight, before)


def test_copies_share_the_teacher(detector: Dense) -> None:
    model = detector.distilled(dict(type='vit_plugin.PKD'), dict(type='vit_plugin.MGD'))
    ema = ExponentialMovingAverage(model)
    assert ema.module.teacher is model.teacher
    assert ema.module.pairs[1].losses[0] is ema.module.distillation[1]
    assert set(ema.module.state_dict()) == set(detector.plain.state_dict())
    with torch.no_grad():
        assert detector.losses(ema.module)['loss_distill_mgd'] > 0
    assert all(not module._forward_hooks for module in model.modules())


def test_several_teachers_and_losses(checkpoint: Path, batch: tuple) -> None:
    """Weights of teachers multiply those of losses; ``of`` names one teacher."""
    teacher = teacher_config(checkpoint=str(checkpoint))
    other = dict(teacher, weight=0.5, data_preprocessor=dict(mean=[0.] * 3, std=[1.] * 3))
    model = MODELS.build(student_config(
        teacher=[teacher, other],
        distillation=[dict(type='vit_plugin.SoftDistillation', weight=0.4),
                      dict(type='vit_plugin.DIST', weight=2., of=1)]))
    losses = model.loss(*batch)
    cls_score, dist_score = model.scores(model.extract_feat(batch[0]))
    first, second = (t(batch[0]) for t in model.teachers)

    def kl(t: Tensor) -> Tensor:
        p, q = (t / 3).softmax(1), (dist_score / 3).softmax(1)
        return 9 * (p * (p / q).log()).sum(1).mean()

    torch.testing.assert_close(losses['loss_distill_softdistillation'], 0.4 * kl(first))
    torch.testing.assert_close(losses['loss_distill_softdistillation_1'], 0.2 * kl(second))
    torch.testing.assert_close(losses['loss_cls'],
                               0.4 * F.cross_entropy(cls_score, torch.arange(4)))
    dist = model.pairs[2].losses[0](dist_score, second)
    torch.testing.assert_close(losses['loss_distill_dist'], dist)  # 2.0 times a half


@pytest.mark.parametrize('loss', ['HardDistillation', 'SoftDistillation', 'DKD'])
def test_classifiers_without_a_token_are_the_same_either_way(loss: str, checkpoint: Path,
                                                             batch: tuple) -> None:
    config = student_config(
        teacher=teacher_config(checkpoint=str(checkpoint)), neck=dict(type='GlobalAveragePooling'),
        backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=2, stem_channels=2),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=16),
        distillation=dict(type=f'vit_plugin.{loss}'))
    torch.manual_seed(0)
    special = MODELS.build(config)
    general = MODELS.build(dict(config, type='vit_plugin.Distilled',
                                student_type='mmpretrain.ImageClassifier'))
    general.load_state_dict(special.state_dict())
    expected, found = special.loss(*batch), general.loss(*batch)
    expected['loss'] = expected.pop('loss_cls')
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_mixed_images_have_no_class_for_dkd(checkpoint: Path, batch: tuple) -> None:
    model = MODELS.build(student_config(teacher=teacher_config(checkpoint=str(checkpoint)),
                                        distillation=dict(type='vit_plugin.DKD')))
    for sample in batch[1]:
        sample.set_gt_score(torch.full((5,), 0.2))
    with pytest.raises(ValueError, match='DKD needs the class of every image'):
        model.loss(*batch)


def test_weight_0_runs_no_teacher(detector: Dense) -> None:
    model = detector.distilled(dict(type='vit_plugin.MGD', weight=0.))
    model.teacher.outputs = None
    losses = detector.losses(model)
    assert losses['loss_distill'] == 0
    losses['loss_distill'].backward()
    assert all(p.grad is not None for p in model.distillation.parameters())


@pytest.mark.parametrize(('loss', 'message'), [
    (dict(type='PKD', student='nek'), r"DistilledMaskRCNN has no module 'nek'.*'neck'"),
    (dict(type='PKD', teacher='neck.fpn'), r"MaskRCNN has no module 'neck\.fpn'"),
    (dict(type='PKD', student='neck[9]'), r"no output 'neck\[9\]': there are 5"),
    (dict(type='PKD', student='neck[0]', teacher='neck'),
     r"'neck\[0\]' of the student.*\(1, 64, 32, 40\)\], with 'neck' of the teacher MaskRCNN.*"
     'as many of both'),
    (dict(type='PKD', student='backbone[0]', teacher='neck[0]'),
     r'\(1, 8, 32, 40\).*\(1, 64, 32, 40\).*channels and size must be the same'),
    (dict(type='MGD', student='neck[1]', teacher='neck[0]'), 'must be maps of one size'),
    (dict(type='HardDistillation'), 'which those of DistilledMaskRCNN are is not obvious'),
    (dict(type='HardDistillation', student='neck[0]', teacher='neck[0]'),
     r'HardDistillation compares \(B, K\)'),
    (dict(type='PKD', student='neck[first]'), 'numbers, not names'),
    (dict(type='PKD', student='neck[2:9]'), r"no output 'neck\[2:9\]': there are 5"),
    (dict(type='PKD', student='neck x'), 'no place in a model'),
    (dict(type='PKD', of=1), 'of=1 of a loss'),
    (dict(type='PKD', teacher='rpn_head'),
     r"the teacher MaskRCNN cannot compute \['rpn_head'\] of pixels alone.*teacher="),
    (dict(type='PDK'), r"got .*PDK.*\. Did you mean 'vit_plugin\.PKD'"),
], ids=lambda value: str(value.get('student', value['type'])) if isinstance(value, dict) else '')
def test_wrong_pairs_name_both_sides(detector: Dense, loss: dict, message: str) -> None:
    if loss['type'] == 'PDK':
        needs('mmpretrain', 'mmseg')  # to know that there is no such loss
    with pytest.raises(ValueError, match=message):
        detector.distilled(dict(loss, type=f"vit_plugin.{loss['type']}"))


def test_a_module_that_is_not_called_is_named(segmentor: Dense) -> None:
    with pytest.raises(ValueError, match=r"a module 'decode_head', but does not call it.*conv_seg"):
        segmentor.distilled(dict(type='vit_plugin.CWD', student='decode_head'))


def test_frozen_outputs_teach_nothing(detector: Dense) -> None:
    model = detector.distilled(dict(type='vit_plugin.PKD', student='backbone[0]',
                                    teacher='backbone[0]')).requires_grad_(False)
    with pytest.raises(ValueError, match=r"'backbone\[0\]' of the student carry no gradient"):
        detector.losses(model)


def test_a_teacher_of_another_task_is_refused(detector: Dense, checkpoint: Path) -> None:
    config = dict(detector.config.model, type='vit_plugin.Distilled', student_type='MaskRCNN',
                  teacher=teacher_config(checkpoint=str(checkpoint)),
                  distillation=dict(type='vit_plugin.PKD'))
    with pytest.raises(ValueError, match=r'of the student.*\(1, 64, 32, 40\).*ImageClassifier'), \
            DefaultScope.overwrite_default_scope('mmdet'):
        MODELS.build(config)


def test_a_detector_teaches_no_scores(detector: Dense) -> None:
    needs('mmpretrain')
    teacher = dict(config=str(detector.teacher_file), checkpoint=str(detector.weights))
    with pytest.raises(ValueError, match=r"MaskRCNN cannot compute \['output'\] of pixels alone, "
                                         'as a model of another task may not'):
        MODELS.build(student_config(teacher=teacher))


def test_the_auxiliary_head_learns(segmentor: Dense) -> None:
    """Only labels lead to it, not the empty image that is run before training."""
    places = dict(student='auxiliary_head.conv_seg', teacher='decode_head.conv_seg')
    model = segmentor.distilled(dict(type='vit_plugin.PKD', resize=True, **places))
    assert segmentor.losses(model)['loss_distill'] > 0
    with pytest.raises(ValueError, match=r'not known before training: give student_channels='):
        segmentor.distilled(dict(type='vit_plugin.MGD', **places))


def test_student_type_must_be_a_model(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"needs student_type='\.\.\.'"):
        MODELS.build(dict(type='vit_plugin.Distilled'))
    with pytest.raises(ValueError, match=r"student_type='mmpretrain\.ResNet'"):
        MODELS.build(dict(type='vit_plugin.Distilled', student_type='mmpretrain.ResNet'))
