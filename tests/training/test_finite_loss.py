"""A run whose loss or weights are NaN stops, and says where."""
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from tests.conftest import needs
from vit_plugin.training.finite_loss import FiniteLossHook, files_of

NAN = float('nan')


class Model(BaseModel):
    """Its losses, one an iteration; a factor breaks gradients alone."""

    def __init__(self, losses: list[float], breaks: int = -1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.unused = nn.Parameter(torch.tensor([NAN]))
        self.losses, self.breaks = iter(losses), breaks
        self.step = 0

    def forward(self, inputs: Any, data_samples: Any, mode: str = 'tensor') -> dict:
        self.step += 1
        loss = self.weight.sum() * 0 + next(self.losses)
        if self.step == self.breaks:  # 0 forwards, NaN backwards
            loss = loss + (self.weight.sum() * 0).sqrt()
        return dict(loss_first=loss, loss_second=loss)


def collate(items: list[int]) -> dict:
    samples = [BaseDataElement(metainfo=dict(img_path=f'{i}.jpg')) for i in items]
    return dict(inputs=torch.zeros(len(items)), data_samples=samples)


def run(work: Path, losses: list[float], hook: Any = None, breaks: int = -1, **changes: Any
        ) -> Runner:
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                  dataset=list(range(2 * len(losses))))
    runner = Runner(Model(losses, breaks), str(work), train_dataloader=loader, **{**dict(
        train_cfg=dict(by_epoch=True, max_epochs=1), experiment_name=work.name,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[hook or FiniteLossHook(iterations=3)]), **changes})
    runner.train_dataloader.collate_fn = collate
    return runner


def test_some_in_a_row_stop_the_run(tmp_path: Path) -> None:
    losses = [1., NAN, 1., NAN, float('inf'), NAN, 1.]
    runner = run(tmp_path, losses, optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)))
    runner.model.weight.register_hook(torch.nan_to_num)
    with pytest.raises(ValueError, match=r'for 3 iterations in a row, since iteration 4 \(loss'):
        runner.train()
    kept = json.loads((tmp_path / 'not_finite_iter4.json').read_text())
    assert kept['files'] == ['6.jpg', '7.jpg']
    assert kept['losses'] == dict(loss='nan', loss_first='nan', loss_second='nan')
    assert not list(tmp_path.glob('*.pth'))


def test_single_ones_do_not(tmp_path: Path) -> None:
    """Float16's dynamic scale leaves such a step out."""
    runner = run(tmp_path, [1., NAN, NAN, 1., NAN, 1.])
    runner.model.weight.register_hook(torch.nan_to_num)
    runner.train()
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.mark.parametrize('in_forward', [True, False])
def test_weights_that_are_nan_are_not_saved(in_forward: bool, tmp_path: Path) -> None:
    """Also where too few iterations are left to count, or the loss was a number to the last."""
    losses = [1., 1., 1., NAN if in_forward else 1.]
    runner = run(tmp_path, losses, breaks=4)
    since = 'since iteration 4' if in_forward else 'after iteration 4'
    with pytest.raises(ValueError, match=f'weights are NaN or infinite: weight, {since}'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_a_run_that_saves_nothing_does_not_end_well(tmp_path: Path) -> None:
    runner = run(tmp_path, [1., 1.], breaks=2, default_hooks=dict(checkpoint=None))
    with pytest.raises(ValueError, match='weights are NaN or infinite: weight'):
        runner.train()


def test_without_the_hook_nobody_says_so(tmp_path: Path) -> None:
    """What mmengine does: the reason of the hook."""
    runner = run(tmp_path, [1., NAN, NAN, NAN], hook=dict(type='RuntimeInfoHook'))
    runner.train()
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_files_of_nested_batches() -> None:
    """Those of several branches, and of pixels alone."""
    batch = dict(sup=collate([1, 2]), unsup=[collate([3])], name='x', inputs=torch.ones(2))
    assert files_of(batch) == ['1.jpg', '2.jpg', '3.jpg']
    assert files_of(torch.ones(2)) == []


def test_iterations_must_be_positive() -> None:
    with pytest.raises(ValueError, match='iterations=0'):
        FiniteLossHook(0)


@pytest.mark.parametrize('own', [False, True])
def test_every_run_of_the_command_has_it(own: bool, tmp_path: Path) -> None:
    needs('mmpretrain')
    from mmengine.config import Config

    from vit_plugin.cli.launch import build_runner
    hooks = [dict(type='vit_plugin.FiniteLossHook', iterations=5)] if own else []
    runner = build_runner(Config(dict(
        model=dict(type='mmpretrain.ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18)),
        work_dir=str(tmp_path), custom_hooks=hooks, default_scope='mmpretrain')), [])
    found = [hook.iterations for hook in runner.hooks if isinstance(hook, FiniteLossHook)]
    assert found == [5 if own else 10]
