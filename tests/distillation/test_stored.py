"""A run with stored scores ends as one that asks the teacher, and refuses scores of other runs."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch import Tensor

from tests.distillation.conftest import CLASSES, student_config, teacher_config
from vit_plugin.distillation import HardDistillation, SoftDistillation, StoredScores

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=32),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]


class Stub:
    """A teacher that counts how often it is asked."""

    num_classes = 100
    pixels = 'the same'

    def __init__(self) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.randn(len(x), self.num_classes) * 3


@pytest.fixture
def iterate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which iteration of a run it is."""
    def iterate(iteration: int, **info: int) -> None:
        hub = MessageHub.get_instance('stored')
        hub.update_info_dict({'seed': 0, 'max_iters': 4, **info, 'iter': iteration})
        monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    return iterate


@pytest.fixture
def train(image_folder: Path, tmp_path: Path, checkpoint: Path) -> Callable[..., tuple[dict, int]]:
    """Train a student; return its weights and how often its teacher was asked."""
    def train(name: str, loss: str, seed: int = 0, **teacher: Any) -> tuple[dict, int]:
        model = student_config(
            teacher=teacher_config(checkpoint=str(checkpoint), **teacher),
            distillation=dict(type=f'vit_plugin.{loss}Distillation'),
            train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.)]))
        model['backbone']['drop_path_rate'] = 0.2
        model['data_preprocessor']['num_classes'] = CLASSES
        dataset = dict(type='vit_plugin.ImageFolder', data_root=str(image_folder),
                       pipeline=PIPELINE)
        runner = Runner(
            model=model, work_dir=str(tmp_path / name), default_scope='mmpretrain',
            train_dataloader=dict(
                batch_size=4, num_workers=0, collate_fn=dict(type='default_collate'),
                sampler=dict(type='vit_plugin.SeededSampler',
                             sampler=dict(type='DefaultSampler', shuffle=True)),
                dataset=dict(type='vit_plugin.SeededDataset', dataset=dataset)),
            train_cfg=dict(by_epoch=True, max_epochs=3), randomness=dict(seed=seed),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)),
            custom_hooks=[dict(type='vit_plugin.SeedHook')], experiment_name=f'{tmp_path}{name}')
        calls = []
        runner.model.teacher.model.register_forward_hook(lambda *_: calls.append(1))
        runner.train()
        return runner.model.state_dict(), len(calls)
    return train


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_hard_labels_train_the_same_student(train: Callable, tmp_path: Path) -> None:
    store = str(tmp_path / 'scores')
    live, asked = train('live', 'Hard')
    assert asked == 6
    first, asked = train('first', 'Hard', store=store)
    assert asked == 6
    later, asked = train('later', 'Hard', store=store)
    assert asked == 0
    assert same(first, live)
    assert same(later, live)


def test_soft_scores_train_the_same_student(train: Callable, tmp_path: Path) -> None:
    """All 5 classes are stored, as half floats."""
    store = str(tmp_path / 'scores')
    first, _ = train('first', 'Soft', store=store)
    later, asked = train('later', 'Soft', store=store)
    assert asked == 0
    assert same(later, first)
    live, _ = train('live', 'Soft')
    for name, value in live.items():
        torch.testing.assert_close(later[name], value, rtol=0, atol=5e-3)


def test_other_runs_are_refused(train: Callable, tmp_path: Path) -> None:
    store = str(tmp_path / 'scores')
    train('first', 'Hard', store=store)
    with pytest.raises(ValueError, match=r'another run: seed=1 \(stored: 0\)'):
        train('seed', 'Hard', seed=1, store=store)
    with pytest.raises(ValueError, match=r'another run: top_k=5 \(stored: 1\)'):
        train('loss', 'Soft', store=store)


def test_only_the_highest_scores_are_kept(iterate: Callable, tmp_path: Path) -> None:
    """The others share what is left of the probability, at the temperature of the loss."""
    teacher, loss, x = Stub(), SoftDistillation(temperature=3.), torch.randn(4, 3, 8, 8)
    stored = StoredScores(tmp_path, teacher, loss)
    iterate(0)
    torch.manual_seed(1)
    found = stored(x)
    torch.manual_seed(1)
    expected = teacher(x)
    top, classes = expected.topk(10)
    torch.testing.assert_close(found.gather(1, classes), top, rtol=1e-3, atol=1e-3)
    others = torch.ones_like(found).scatter(1, classes, 0.)
    kept, given = ((scores / 3).softmax(1) * others for scores in (found, expected))
    torch.testing.assert_close(kept.sum(1), given.sum(1), rtol=1e-3, atol=1e-3)
    assert ((kept.amax(1) - kept.sum(1) / 90).abs() < 1e-6).all()
    assert F.kl_div((found / 3).log_softmax(1), (expected / 3).log_softmax(1),
                    reduction='batchmean', log_target=True) < 0.2


def test_a_run_goes_on_and_may_be_longer(iterate: Callable, tmp_path: Path) -> None:
    images = torch.randn(6, 2, 3, 8, 8)
    iterate(0)
    first = StoredScores(tmp_path, Stub(), HardDistillation())
    seen = []
    for i in range(3):
        iterate(i)
        seen.append(first(images[i]))
    teacher = Stub()
    teacher.model.load_state_dict(first.teacher.model.state_dict())
    later = StoredScores(tmp_path, teacher, HardDistillation())
    for i in range(6):
        iterate(i, max_iters=6)
        scores = later(images[i])
        assert i >= 3 or torch.equal(scores, seen[i])
    assert teacher.calls == 3


def test_other_images_are_refused(iterate: Callable, tmp_path: Path) -> None:
    iterate(0)
    stored = StoredScores(tmp_path, Stub(), HardDistillation())
    x = torch.randn(2, 3, 8, 8)
    stored(x)
    stored(x + 1e-4)  # another GPU's rounding
    for other in (x + 0.1, x.flip(0), x[:1]):
        with pytest.raises(ValueError, match=r'of other images: at iteration 0 .*SeedHook'):
            stored(other)


def test_other_teachers_are_refused(iterate: Callable, tmp_path: Path) -> None:
    iterate(0)
    x = torch.randn(2, 3, 8, 8)
    StoredScores(tmp_path, Stub(), HardDistillation())(x)
    with pytest.raises(ValueError, match='of another run: teacher='):
        StoredScores(tmp_path, Stub(), HardDistillation())(x)


def test_outside_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = MessageHub('empty')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    with pytest.raises(ValueError, match=r"'iter' is unknown.*leave store= out"):
        StoredScores(tmp_path, Stub(), HardDistillation())(torch.ones(1, 3, 8, 8))
