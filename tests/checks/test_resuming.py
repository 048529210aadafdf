"""Settings that a resumed training does not take are named; those that it takes are not."""
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

SCHEDULE = """
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1),
                   dict(type='CosineAnnealingLR', T_max=3, by_epoch=False, begin=1, end=4)]
"""


@pytest.fixture
def resumed(tool: Callable[..., None], config: Path, work: Path) -> Callable[..., str]:
    """Log of a training of two epochs that stopped after one and is resumed with other settings."""
    def resumed(*options: str) -> str:
        config.write_text(config.read_text() + SCHEDULE)
        tool('train', config, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1')
        first = set(work.glob('*/*.log'))
        tool('train', config, '--work-dir', work, '--resume', '--cfg-options',
             'randomness.seed=1', *options)
        log, = set(work.glob('*/*.log')) - first
        return log.read_text()
    return resumed


def rate_of(checkpoint: Path) -> float:
    state = torch.load(checkpoint, weights_only=False)
    return state['optimizer']['param_groups'][0]['initial_lr']


def test_the_same_settings_are_not_named(resumed: Callable[..., str], work: Path) -> None:
    log = resumed()
    assert (work / 'epoch_2.pth').is_file()
    assert 'has no effect' not in log
    assert 'stays' not in log


def test_other_settings_have_no_effect(resumed: Callable[..., str], work: Path) -> None:
    """Another rate, decay and schedule: mmengine takes the checkpoint's without a word."""
    log = resumed('optim_wrapper.optimizer.lr=0.5', 'optim_wrapper.optimizer.weight_decay=0.3',
                  'param_scheduler.1.end=6')
    assert "optimizer.lr=0.5 of the config has no effect: the checkpoint's 0.001 stays" in log
    assert "optimizer.weight_decay=0.3 of the config has no effect: the checkpoint's 0.01" in log
    assert "param_scheduler.1.end=6 of the config has no effect: the checkpoint's 4 stays" in log
    assert 'betas' not in log.split('has no effect')[1]
    assert rate_of(work / 'epoch_2.pth') == rate_of(work / 'epoch_1.pth') == 0.001


def test_more_epochs_than_the_schedule_has(resumed: Callable[..., str], work: Path) -> None:
    log = resumed('train_cfg.max_epochs=3')
    assert "the checkpoint's schedule ends at iteration 4, the training at 6" in log
    assert (work / 'epoch_3.pth').is_file()
