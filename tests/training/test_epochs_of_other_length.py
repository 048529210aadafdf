"""A run that is resumed with another batch size, or other data, trains all epochs that are left."""
from pathlib import Path
from typing import Any

import pytest
import torch

IN_EPOCH = dict(by_epoch=False, interval=5, max_keep_ckpts=-1)
WARNING = 'begins anew'


@pytest.mark.parametrize(('batch', 'images'), [(8, 16), (2, 4), (1, 16), (2, 20)])
def test_whole_epochs_are_trained(train: Any, tmp_path: Path, batch: int, images: int
                                  ) -> None:
    train(2, batch=2)
    assert sizes(train(4, batch, images, resume='epoch_2.pth')) == [batch] * (2 * images // batch)
    assert WARNING not in log(tmp_path)


def test_unfinished_epoch_of_other_length_begins_anew(train: Any, tmp_path: Path) -> None:
    train(2, batch=2, **IN_EPOCH)  # 8 iterations in an epoch
    assert sizes(train(3, batch=4, resume='iter_10.pth', **IN_EPOCH)) == [4] * 8
    assert 'epoch 2 begins anew' in log(tmp_path)
    assert '2 of 8 iterations' in log(tmp_path)
    # what the second run leaves is counted from its own epochs: 4 iterations, from 10 on
    assert sizes(train(3, batch=4, resume='iter_15.pth', **IN_EPOCH)) == [4] * 3


def test_unfinished_epoch_goes_on(train: Any, tmp_path: Path) -> None:
    expected = train(2, batch=2, **IN_EPOCH)[10:]
    assert train(2, batch=2, resume='iter_10.pth', **IN_EPOCH) == expected != []
    assert WARNING not in log(tmp_path)


@pytest.mark.parametrize('batch', [2, 4])
def test_finished_epoch_is_not_trained_again(train: Any, tmp_path: Path, batch: int) -> None:
    """The checkpoint of its last iteration belongs to it, not to the next epoch."""
    train(2, batch=2, **dict(IN_EPOCH, interval=8))
    assert sizes(train(2, batch, resume='iter_8.pth', **IN_EPOCH)) == [batch] * (16 // batch)
    assert WARNING not in log(tmp_path)


def test_unknown_length(train: Any, tmp_path: Path) -> None:
    """A checkpoint that tells nothing is no reason to skip anything."""
    train(2, batch=2, **IN_EPOCH)
    content = torch.load(tmp_path / 'run/iter_10.pth', weights_only=False)
    del content['epoch_progress']  # as mmengine's hooks leave it
    torch.save(content, tmp_path / 'run/iter_10.pth')
    assert sizes(train(2, batch=2, resume='iter_10.pth', **IN_EPOCH)) == [2] * 8
    assert 'does not tell' in log(tmp_path)


def sizes(batches: list[list[int]]) -> list[int]:
    return list(map(len, batches))


def log(tmp_path: Path) -> str:
    """All that was logged."""
    return ''.join(path.read_text() for path in tmp_path.glob('run/*/*.log'))
