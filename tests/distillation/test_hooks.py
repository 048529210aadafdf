"""The hooks of distillation in a real runner."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS
from torch import Tensor

from tests.distillation.conftest import CLASSES, student_config, teacher_config
from vit_plugin.distillation import DistillationScheduleHook, TeacherCheckHook


class Recorder(Hook):
    """What was in force in every iteration."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, int]] = []
        self.calls = 0

    def before_run(self, runner: Runner) -> None:
        def count(*_: Any) -> None:
            self.calls += 1
        runner.model.teacher.model.register_forward_hook(count)

    def after_train_iter(self, runner: Runner, **_: Any) -> None:
        loss = runner.model.distillation
        self.seen.append((loss.weight, getattr(loss, 'temperature', 0.), self.calls))


@MODELS.register_module(force=True)
class MeanColour(BaseBackbone):
    """(B, 3, H, W) -> (B, 3): what tells the dark from the light images."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (x.mean((2, 3)),)


@pytest.fixture
def bright(tmp_path: Path) -> Callable[..., dict]:
    """A teacher's config; with mean 100 it knows dark (0) from light images (1) without error."""
    def config(mean: float) -> dict:
        teacher = dict(type='mmpretrain.ImageClassifier', backbone=dict(type='MeanColour'),
                       head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=3),
                       data_preprocessor=dict(mean=[mean] * 3, std=[50.] * 3, to_rgb=False))
        model = MODELS.build(teacher)
        with torch.no_grad():
            model.head.fc.weight.zero_()[:2] = torch.tensor([[-1.], [1.]])
            model.head.fc.bias.copy_(torch.tensor([0., 0., -99., -99., -99.]))
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'bright.pth')
        return dict(teacher, checkpoint=str(tmp_path / 'bright.pth'))
    return config


@pytest.fixture
def run(image_folder: Path, tmp_path: Path, checkpoint: Path) -> Callable[..., Runner]:
    def build(*hooks: Any, epochs: int = 5, teacher: dict | None = None, loss: str = 'Soft',
              **changes: Any) -> Runner:
        dataset = dict(
            type='vit_plugin.ImageFolder', data_root=str(image_folder),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=32),
                      dict(type='PackInputs')])
        loader = dict(batch_size=4, num_workers=0, collate_fn=dict(type='default_collate'),
                      dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False))
        model = student_config(
            teacher=teacher or teacher_config(checkpoint=str(checkpoint)),
            distillation=dict(type=f'vit_plugin.{loss}Distillation'))
        return Runner(**{**dict(
            model=model, work_dir=str(tmp_path / 'work'), train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)), custom_hooks=list(hooks),
            default_scope='mmpretrain', randomness=dict(seed=0), val_dataloader=loader,
            val_cfg=dict(), val_evaluator=dict(type='Accuracy'), experiment_name=tmp_path.name),
            **changes})
    return build


def test_good_teacher_passes(run: Callable[..., Runner], bright: Callable[..., dict],
                             capfd: pytest.CaptureFixture) -> None:
    # The student's pixels are RGB and have another mean; the check converts them as training does.
    run(dict(type='vit_plugin.TeacherCheckHook', min_accuracy=99.), epochs=1,
        teacher=bright(100.)).train()
    assert 'The teacher has 100.0 % top-1 accuracy on 8 validation' in ''.join(capfd.readouterr())


def test_wrong_normalisation_stops_before_training(run: Callable[..., Runner],
                                                   bright: Callable[..., dict]) -> None:
    recorder = Recorder()
    runner = run(TeacherCheckHook(min_accuracy=60.), recorder, teacher=bright(0.))
    with pytest.raises(ValueError, match=r'50\.0 % .* on 8 .*min_accuracy=60.*mean, std'):
        runner.train()
    assert recorder.seen == []


def test_every_teacher_is_scored(run: Callable[..., Runner], bright: Callable[..., dict],
                                 capfd: pytest.CaptureFixture) -> None:
    """But not one whose features are learnt."""
    good, features = bright(100.), dict(bright(0.))
    runner = run(TeacherCheckHook(min_accuracy=60.), teacher=good, epochs=1)
    config = dict(student_config(), teacher=[good, features, bright(0.)], distillation=[
        dict(type='vit_plugin.SoftDistillation', of=0),
        dict(type='vit_plugin.FeatureDistillation', teacher='backbone', student='head', of=1),
        dict(type='vit_plugin.DIST', of=2)])
    runner.model = MODELS.build(config)
    with pytest.raises(ValueError, match=r'teacher 2 has 50\.0 % .* on 8 .*min_accuracy=60'):
        runner.train()
    log = ''.join(capfd.readouterr())
    assert 'Teacher 0 has 100.0 % top-1 accuracy on 8' in log
    assert 'Teacher 1' not in log


def test_scores_must_be_learnt(run: Callable[..., Runner], bright: Callable[..., dict]) -> None:
    runner = run(TeacherCheckHook(min_accuracy=60.))
    runner.model = MODELS.build(dict(student_config(), teacher=bright(0.), distillation=dict(
        type='vit_plugin.FeatureDistillation', teacher='backbone', student='head')))
    with pytest.raises(ValueError, match="nothing is learnt of a teacher's scores here"):
        runner.train()


def test_only_some_batches_are_scored(run: Callable[..., Runner], bright: Callable[..., dict],
                                      capfd: pytest.CaptureFixture) -> None:
    # the first batch has dark images only, which this teacher takes for light ones
    with pytest.raises(ValueError, match=r'0\.0 % .* on 4 '):
        run(TeacherCheckHook(min_accuracy=10., num_batches=1), teacher=bright(0.)).train()


def test_schedule_follows_the_formula(run: Callable[..., Runner]) -> None:
    recorder = Recorder()
    run(DistillationScheduleHook(weight=(0.9, 0.3), temperature=(4., 1.), off_last=1),
        recorder).train()
    weights, temperatures, calls = zip(*recorder.seen)
    assert weights == pytest.approx([0.9, 0.9, 0.7, 0.7, 0.5, 0.5, 0.3, 0.3, 0, 0])
    assert temperatures == pytest.approx([4, 4, 3, 3, 2, 2, 1, 1, 1, 1])
    assert calls[7] == calls[9]  # switched off, the teacher does not run


def test_schedule_by_iteration_and_constant_weight(run: Callable[..., Runner]) -> None:
    recorder = Recorder()
    run(DistillationScheduleHook(off_last=3, by_epoch=False), recorder, epochs=3).train()
    assert [weight for weight, *_ in recorder.seen] == [0.1, 0.1, 0.1, 0, 0, 0]


def test_schedule_goes_on_after_resume(run: Callable[..., Runner], tmp_path: Path) -> None:
    schedule = dict(type='vit_plugin.DistillationScheduleHook', weight=(1., 0.), off_last=1)
    whole, resumed = Recorder(), Recorder()
    run(schedule, whole).train()
    run(schedule, resumed, resume=True, load_from=str(tmp_path / 'work/epoch_2.pth')).train()
    assert [w for w, *_ in resumed.seen] == [w for w, *_ in whole.seen[4:]]


def test_teacher_share_is_logged(run: Callable[..., Runner]) -> None:
    runner = run(dict(type='vit_plugin.TeacherTimeHook'), epochs=2)
    runner.train()
    assert not runner.model.teacher.entry._forward_hooks  # it measures no more
    shares, _ = runner.message_hub.get_scalar('train/teacher_share').data
    assert len(shares) == 2  # the first step of an epoch has no step before it
    assert all(0 < share < 1 for share in shares)
    for name in ('loss_cls', 'loss_distill', 'agreement'):
        assert len(runner.message_hub.get_scalar(f'train/{name}').data[0]) == 4


@pytest.mark.parametrize(('hook', 'error', 'message'), [
    (lambda: TeacherCheckHook(0.7), ValueError, 'min_accuracy=0.7 must be in percent'),
    (lambda: TeacherCheckHook(70., 0), ValueError, 'num_batches=0 must be positive'),
    (lambda: DistillationScheduleHook(), ValueError, 'nothing is scheduled'),
    (lambda: DistillationScheduleHook(weight=(-0.5, 1)), ValueError, r'weight=\(-0.5, 1\)'),
    (lambda: DistillationScheduleHook(temperature=(0, 1)), ValueError, r'temperature=\(0, 1\)'),
])
def test_wrong_arguments(hook: Callable[[], Hook], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        hook()


@pytest.mark.parametrize(('changes', 'error', 'message'), [
    (dict(off_last=5), ValueError, 'off_last=5 must be less than the whole training, 5'),
    (dict(temperature=(3, 1)), ValueError, 'HardDistillation has no temperature'),
    (dict(weight=(0.5, 1.5)), ValueError, 'reaches 1.5 .*leaves nothing to the labels'),
])
def test_schedule_that_does_not_fit(run: Callable[..., Runner], changes: dict, error: type,
                                    message: str) -> None:
    runner = run(DistillationScheduleHook(**changes), loss='Hard')
    with pytest.raises(error, match=message):
        runner.train()


def test_schedule_by_epochs_that_are_not_counted(run: Callable[..., Runner]) -> None:
    runner = run(DistillationScheduleHook(weight=(0.5, 0.1)), val_cfg=None, val_dataloader=None,
                 val_evaluator=None, train_cfg=dict(by_epoch=False, max_iters=2))
    with pytest.raises(ValueError, match='no epochs to schedule by: by_epoch=False'):
        runner.train()


def test_stored_scores_have_one_temperature(run: Callable[..., Runner], checkpoint: Path,
                                            tmp_path: Path) -> None:
    teacher = teacher_config(checkpoint=str(checkpoint), store=str(tmp_path / 'scores'))
    with pytest.raises(ValueError, match='stored scores are those at one temperature'):
        run(DistillationScheduleHook(temperature=(3, 1)), teacher=teacher).train()
