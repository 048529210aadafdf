"""What makes a teacher cheaper leaves its scores as they are."""
from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS

from tests.distillation.conftest import student_config, teacher_config


@pytest.mark.parametrize('options', [
    dict(channels_last=True),
    dict(compile=dict(backend='eager')),
    dict(channels_last=True, compile=dict(backend='eager', dynamic=False)),
], ids=['channels_last', 'compile', 'both'])
def test_scores_stay(checkpoint: Path, batch: tuple, options: dict) -> None:
    config = teacher_config(checkpoint=str(checkpoint))
    plain, changed = (MODELS.build(student_config(teacher={**config, **more})).teacher
                      for more in ({}, options))
    torch.testing.assert_close(changed(batch[0]), plain(batch[0]))
    weight = changed.model.backbone.conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == ('channels_last' in options)
    assert isinstance(changed.forward, torch._dynamo.OptimizedModule) == ('compile' in options)
