"""A run with stored outputs ends as one that asks the teacher, and refuses those of other runs."""
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import Tensor

from tests.distillation.conftest import CLASSES, student_config, teacher_config
from tests.distillation.test_unlabelled import unlabelled
from vit_plugin.distillation import (
    FeatureDistillation,
    HardDistillation,
    SoftDistillation,
    StoredOutputs,
)
from vit_plugin.distillation.stored_outputs import checksum
from vit_plugin.distillation.teacher import build_teacher
from vit_plugin.errors import UserError
from vit_plugin.training.sampling import SampleKey

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=32),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
MIXES = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.)])


class Stub:
    """A teacher that counts how often it is asked."""

    pixels = 'the same'

    def __init__(self, width: int = 100) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.calls, self.width = 0, width
        self.shapes: dict = {}

    def outputs(self, x: Tensor) -> dict[str, list[Tensor]]:
        self.calls += 1
        return {'': [torch.randn(len(x), self.width) * 3]}


def drawn(*samples: int, epoch: int = 0, seed: int = 0, **key: int) -> list[DataSample]:
    """What the samples of a batch say."""
    keys = [SampleKey(seed, epoch, sample, **key) for sample in samples]
    return [DataSample(metainfo=dict(sample_key=key, num_samples=8)) for key in keys]


def store(folder: Path, loss: Any = None, teacher: Stub | None = None) -> StoredOutputs:
    return StoredOutputs(folder, teacher or Stub(), {'': [loss or HardDistillation()]})


def loader(folder: Path, batch_size: int) -> dict:
    return dict(
        batch_size=batch_size, num_workers=0, collate_fn=dict(type='default_collate'),
        sampler=dict(type='vit_plugin.SeededSampler',
                     sampler=dict(type='DefaultSampler', shuffle=True)),
        dataset=dict(type='vit_plugin.SeededDataset', dataset=dict(
            type='vit_plugin.ImageFolder', data_root=str(folder), pipeline=PIPELINE)))


@pytest.fixture
def train(image_folder: Path, tmp_path: Path, checkpoint: Path) -> Callable[..., tuple[dict, int]]:
    """Train a student; return its weights and how often its teacher was asked."""
    def train(name: str, loss: str, seed: int = 0, batch_size: int = 4, mixes: dict | None = MIXES,
              **teacher: Any) -> tuple[dict, int]:
        model = student_config(
            teacher=teacher_config(checkpoint=str(checkpoint), **teacher), train_cfg=mixes,
            distillation=dict(type=f'vit_plugin.{loss}Distillation'))
        model['backbone']['drop_path_rate'] = 0.2
        model['data_preprocessor']['num_classes'] = CLASSES
        runner = Runner(
            model=model, work_dir=str(tmp_path / name), default_scope='mmpretrain',
            train_dataloader=loader(image_folder, batch_size),
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
    """Under Mixup and CutMix, too."""
    folder = str(tmp_path / 'scores')
    live, asked = train('live', 'Hard')
    assert asked == 6
    first, asked = train('first', 'Hard', store=folder)
    assert asked == 6
    later, asked = train('later', 'Hard', store=folder)
    assert asked == 0
    assert same(first, live)
    assert same(later, live)
    with pytest.raises(ValueError, match=r'of other images: .* of sample \d in epoch 0 was .*mixed '
                                         'here, by Mixup and CutMix, so that batch size and num'):
        train('batch', 'Hard', store=folder, batch_size=2)
    with pytest.raises(ValueError, match=r"another run: mixes=\[\] \(stored: \['Mixup', 'CutMix"):
        train('plain', 'Hard', store=folder, mixes=None)


def test_soft_scores_train_the_same_student(train: Callable, tmp_path: Path) -> None:
    """All 5 classes are stored, as half floats; another batch size needs no other ones."""
    folder = str(tmp_path / 'scores')
    first, _ = train('first', 'Soft', store=folder, mixes=None)
    later, asked = train('later', 'Soft', store=folder, mixes=None)
    assert asked == 0
    assert same(later, first)
    live, _ = train('live', 'Soft', mixes=None)
    for name, value in live.items():
        torch.testing.assert_close(later[name], value, rtol=0, atol=5e-3)
    assert train('smaller', 'Soft', store=folder, mixes=None, batch_size=2)[1] == 0


def test_other_runs_are_refused(train: Callable, tmp_path: Path) -> None:
    folder = str(tmp_path / 'scores')
    train('first', 'Hard', store=folder)
    with pytest.raises(ValueError, match=r'another run: seed=1 \(stored: 0\)'):
        train('seed', 'Hard', seed=1, store=folder)
    with pytest.raises(ValueError, match=r"another run: outputs=\['output: top 5 of 5 scores'\] "
                                         r"\(stored: \['output: top 1 of 5"):
        train('loss', 'Soft', store=folder)


def batches(folder: Path, batch_size: int, rank: int = 0, world_size: int = 1
            ) -> Iterator[dict]:
    """Two epochs of one of several processes, as its model gets them."""
    with pytest.MonkeyPatch.context() as patch:
        for place in ('mmengine.dataset.sampler', 'vit_plugin.training.sampling'):
            patch.setattr(f'{place}.get_dist_info', lambda: (rank, world_size))
        found = Runner.build_dataloader(loader(folder, batch_size), seed=5)
    for epoch in (0, 1):
        found.sampler.set_epoch(epoch)
        yield from found


def feature_student(folder: Path | None) -> Any:
    torch.manual_seed(0)
    config = unlabelled(distillation=dict(type='vit_plugin.FeatureDistillation'))
    if folder is not None:
        config['teacher']['store'] = str(folder)
    return MODELS.build(config).eval()


def test_batch_size_and_processes_may_differ(image_folder: Path, tmp_path: Path) -> None:
    """Features that one process stored in batches of 8 train two processes in batches of 2."""
    recording, live, reading = (feature_student(folder)
                                for folder in (tmp_path / 'store', None, tmp_path / 'store'))
    targets: dict = {}
    for batch in batches(image_folder, 8):
        data = recording.data_preprocessor(batch, training=True)
        found, = recording.ask(recording.teacher, data['inputs'], data['data_samples'])['']
        targets.update(zip((sample.sample_key for sample in data['data_samples']), found))
        torch.testing.assert_close(found, live.teacher(data['inputs']), rtol=1e-3, atol=1e-3)
    assert len(targets) == 16
    assert all(file.stat().st_size == 8 * (12 + 2 * 16)
               for file in (tmp_path / 'store').glob('epoch*.bin'))
    reading.teacher.outputs = None
    for rank in (0, 1):
        for batch in batches(image_folder, 2, rank, 2):
            data = reading.data_preprocessor(batch, training=True)
            found, = reading.ask(reading.teacher, data['inputs'], data['data_samples'])['']
            for sample, target in zip(data['data_samples'], found):
                assert torch.equal(target, targets.pop(sample.sample_key))
            loss, expected = (model.loss(data['inputs'], data['data_samples'])['loss_distill']
                              for model in (reading, live))
            torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)
    assert not targets


def test_repeats_of_an_image_have_their_own_records(tmp_path: Path) -> None:
    stored, x = store(tmp_path, FeatureDistillation(1, 1), Stub(3)), torch.randn(2, 3, 8, 8)
    found = [stored.outputs(x, drawn(3, 4, repeat=i))[''][0] for i in (0, 1)]
    assert not torch.equal(*found)
    for i in (0, 1):
        assert torch.equal(stored.outputs(x, drawn(3, 4, repeat=i))[''][0], found[i])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'epoch0.bin', 'epoch0_repeat1.bin', 'header.json']


@pytest.mark.parametrize('content', [b'', b'{"seed": 0', b'[]', b'{}', b'\xff\xfe\x00'])
def test_damaged_header(content: bytes, tmp_path: Path) -> None:
    x = torch.randn(2, 3, 8, 8)
    store(tmp_path, FeatureDistillation(1, 1), Stub(3)).outputs(x, drawn(0, 1))
    (tmp_path / 'header.json').write_bytes(content)
    with pytest.raises(UserError, match=r"header\.json' is damaged, .*delete the folder"):
        store(tmp_path, FeatureDistillation(1, 1), Stub(3)).outputs(x, drawn(0, 1))


def test_only_the_highest_scores_are_kept(tmp_path: Path) -> None:
    """The others share what is left of the probability, at the temperature of the loss."""
    teacher, x = Stub(), torch.randn(4, 3, 8, 8)
    stored = store(tmp_path, SoftDistillation(temperature=3.), teacher)
    torch.manual_seed(1)
    found, = stored.outputs(x, drawn(0, 1, 2, 3))['']
    torch.manual_seed(1)
    expected, = teacher.outputs(x)['']
    top, classes = expected.topk(10)
    torch.testing.assert_close(found.gather(1, classes), top, rtol=1e-3, atol=1e-3)
    others = torch.ones_like(found).scatter(1, classes, 0.)
    kept, given = ((scores / 3).softmax(1) * others for scores in (found, expected))
    torch.testing.assert_close(kept.sum(1), given.sum(1), rtol=1e-3, atol=1e-3)
    assert ((kept.amax(1) - kept.sum(1) / 90).abs() < 1e-6).all()
    assert F.kl_div((found / 3).log_softmax(1), (expected / 3).log_softmax(1),
                    reduction='batchmean', log_target=True) < 0.2


def test_scores_at_another_temperature_are_refused(tmp_path: Path) -> None:
    """Of which those that are not among the highest keep their share."""
    teacher, x = Stub(), torch.randn(2, 3, 8, 8)
    store(tmp_path, SoftDistillation(temperature=1.), teacher).outputs(x, drawn(0, 1))
    with pytest.raises(ValueError, match=r'of another run: outputs=.*temperature 4.*temperature 1'):
        store(tmp_path, SoftDistillation(temperature=4.), teacher).outputs(x, drawn(0, 1))


def test_what_is_absent_is_asked(tmp_path: Path) -> None:
    """Of other samples, later epochs, and of records that a kill or the disk damaged."""
    images, samples = torch.randn(4, 3, 8, 8), drawn(0, 1, 2, 3)
    first = store(tmp_path, SoftDistillation())
    seen, = first.outputs(images[:3], samples[:3])['']
    first.files[0, 0].flush()
    with open(tmp_path / 'epoch0.bin', 'r+b') as file:  # the record of sample 1
        file.seek(first.record.itemsize + 12)
        file.write(b'\xff')
    later = store(tmp_path, SoftDistillation())
    later.teacher.model.load_state_dict(first.teacher.model.state_dict())
    found, = later.outputs(images, samples)['']
    assert later.teacher.calls == 1
    assert torch.equal(found[[0, 2]], seen[[0, 2]])
    assert not torch.equal(found[1], seen[1])
    assert torch.equal(later.outputs(images, samples)[''][0], found)
    later.outputs(images, drawn(0, 1, 2, 3, epoch=1))
    assert later.teacher.calls == 2


def test_other_images_are_refused(tmp_path: Path) -> None:
    stored, x = store(tmp_path), torch.randn(2, 3, 8, 8) + 200.  # as without normalisation
    stored.outputs(x, drawn(5, 6))
    stored.outputs(x + 1e-4, drawn(5, 6))  # another GPU's rounding
    with pytest.raises(ValueError, match=r'of other images: .* sample 5 in epoch 0 was .*SeededD'):
        stored.outputs(x + 1, drawn(5, 6))


def blurred(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), 'reflect'), 3, 1)


@pytest.mark.parametrize('change', [
    lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.rot90(1, (2, 3)), lambda x: x.flip(1),
    lambda x: x.roll(4, 3), blurred, lambda x: 1.1 * x - 0.1 * x.mean((1, 2, 3), keepdim=True),
    lambda x: x.flip(0)
], ids=['flipped', 'upside down', 'turned', 'other channels', 'moved', 'blurred', 'contrast',
        'exchanged'])
@pytest.mark.parametrize('size', [32, 64])
def test_another_augmentation_is_refused(change: Callable, size: int, tmp_path: Path) -> None:
    """Also where it leaves the mean of the pixels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, size // 4, size // 4, generator=generator)
    x = F.interpolate(coarse, size=size, mode='bilinear')
    stored = store(tmp_path)
    stored.outputs(x, drawn(5, 6))
    stored.outputs(x + 1e-5 * torch.randn(x.shape, generator=generator), drawn(5, 6))
    with pytest.raises(ValueError, match=r'of other images: .* of sample \d in epoch 0 was'):
        stored.outputs(change(x), drawn(5, 6))


def test_outputs_without_flips_are_refused(train: Callable, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path / 'scores')
    train('first', 'Soft', store=folder, mixes=None)
    monkeypatch.setattr('tests.distillation.test_stored.PIPELINE', PIPELINE[:2] + PIPELINE[3:])
    with pytest.raises(ValueError, match=r'of other images: .* of sample \d in epoch 0 was'):
        train('second', 'Soft', store=folder, mixes=None)


def test_other_teachers_are_refused(tmp_path: Path) -> None:
    x = torch.randn(2, 3, 8, 8)
    store(tmp_path).outputs(x, drawn(0, 1))
    with pytest.raises(ValueError, match='of another run: teacher='):
        store(tmp_path).outputs(x, drawn(0, 1))


def test_functions_are_told_apart() -> None:
    pixels = MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor'))
    sine, cosine = (checksum(build_teacher(dict(function=name), pixels))
                    for name in ('torch.sin', 'torch.cos'))
    assert sine != cosine


def test_samples_that_do_not_say_which_they_are(tmp_path: Path) -> None:
    for samples in (None, [DataSample()]):
        with pytest.raises(ValueError, match=r'which samples these are is unknown: .*SeededData'):
            store(tmp_path).outputs(torch.ones(1, 3, 8, 8), samples)


def test_maps_are_too_large(tmp_path: Path) -> None:
    config = unlabelled()
    config['teacher']['store'] = str(tmp_path)
    with pytest.raises(ValueError, match=r"FeatureDistillation compares 'norm' of the teacher, of "
                                         r'the shape \(21, 16\) for an image, 1 kB'):
        MODELS.build(config)


def test_several_losses_share_whole_scores(checkpoint: Path, batch: tuple, tmp_path: Path) -> None:
    """A second teacher is not stored."""
    teacher = teacher_config(checkpoint=str(checkpoint))
    model = MODELS.build(student_config(
        teacher=[dict(teacher, store=str(tmp_path)), teacher],
        distillation=[dict(type='vit_plugin.HardDistillation'), dict(type='vit_plugin.DIST')]))
    for sample, marked in zip(batch[1], drawn(0, 1, 2, 3)):
        sample.set_metainfo(marked.metainfo)
    expected = model.loss(*batch)
    model.teacher.outputs = None
    found = model.loss(*batch)
    assert len(found) == 7
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert np.dtype(model.stores[model.teacher].record).itemsize == 12 + 2 * CLASSES
