"""Scores that are no numbers stop the run, and the iteration is named."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS

from tests.distillation.conftest import student_config, teacher_config
from vit_plugin.distillation.teacher_checks import FiniteCheck
from vit_plugin.training.sampling import SampleKey

BROKEN = {
    'one class': lambda scores: scores.index_fill(1, torch.tensor([2]), float('nan')),
    'one image': lambda scores: scores.index_fill(0, torch.tensor([3]), float('inf')),
    'overflow': lambda scores: scores.index_fill(1, torch.tensor([0]), -float('inf')),
}


@pytest.fixture
def iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = MessageHub.get_instance('finite')
    hub.update_info_dict(dict(seed=0, max_iters=9, iter=7))
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)


@pytest.mark.parametrize('break_scores', BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize('stored', [False, True], ids=['live', 'stored'])
def test_run_stops(break_scores: Callable, stored: bool, checkpoint: Path,
                   batch: tuple, iteration: None, tmp_path: Path) -> None:
    more: dict[str, Any] = dict(store=str(tmp_path)) if stored else {}
    model = MODELS.build(student_config(
        teacher=teacher_config(checkpoint=checkpoint, **more),
        distillation=dict(type='vit_plugin.HardDistillation')))
    for i, sample in enumerate(batch[1]):
        sample.set_metainfo(dict(sample_key=SampleKey(0, 0, i), num_samples=4))
    handle = model.teacher.model.register_forward_hook(lambda *args: break_scores(args[2]))
    with pytest.raises(ValueError, match='NaN or infinity at iteration 7'):
        model.loss(*batch)
    handle.remove()  # what was stored of it is not taken later
    assert model.loss(*batch)['loss_distill'].isfinite()


def test_large_scores_are_numbers() -> None:
    FiniteCheck()([torch.full((100, 100), 6e4, dtype=torch.half), torch.zeros(3)])
