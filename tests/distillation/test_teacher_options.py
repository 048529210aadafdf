"""What makes a teacher cheaper leaves its scores as they are."""
from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS

from tests.distillation.conftest import student_config, teacher_config
from vit_plugin.distillation.module_outputs import Tap


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


@pytest.mark.parametrize('options', [dict(channels_last=True), dict(compile=dict(backend='eager'))],
                         ids=['channels_last', 'compile'])
def test_features_stay(checkpoint: Path, batch: tuple, options: dict) -> None:
    """Those inside of the backbone too, which is not compiled then."""
    taps = [Tap('backbone'), Tap('neck'), Tap('backbone.layer2.0')]
    seen = []
    for chosen in (taps[:2], taps):
        for more in ({}, options):
            teacher = MODELS.build(student_config(
                teacher=teacher_config(checkpoint=str(checkpoint), **more))).teacher
            teacher.record(chosen)
            seen.append(teacher.outputs(batch[0]))
    torch.testing.assert_close(seen[1], seen[0])
    torch.testing.assert_close(seen[3], seen[2])
    assert seen[3].keys() == {'backbone', 'neck', 'backbone.layer2.0'}
