"""A training of seconds, with all that makes runs the same again."""
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from tests.conftest import needs

BATCHES: list[list[int]] = []  # that were trained


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor, mode: str = 'loss') -> dict[str, Tensor]:
        BATCHES.append(inputs.long().flatten().tolist())
        return dict(loss=(inputs * self.weight).mean())


@pytest.fixture
def train(tmp_path: Path) -> Any:
    needs('cv2')  # mmengine's runner does
    from mmengine.runner import Runner

    from vit_plugin.training.checkpoints import AtomicCheckpointHook
    from vit_plugin.training.sampling import SeededDataset
    from vit_plugin.training.seeding import SeedHook

    def train(epochs: int, batch: int, images: int = 16, resume: str | None = None,
              **checkpoint: Any) -> list[list[int]]:
        """Train in epochs; the images of each batch."""
        BATCHES.clear()
        name = f'{tmp_path.name}_{len(list(tmp_path.glob("run/*")))}'  # mmengine keeps runs by it
        runner = Runner(
            Line(), str(tmp_path / 'run'), experiment_name=name,
            train_dataloader=dict(
                batch_size=batch, num_workers=0, collate_fn=dict(type='default_collate'),
                sampler=dict(type='vit_plugin.SeededSampler', sampler=dict(type='DefaultSampler')),
                dataset=SeededDataset([dict(inputs=torch.full((1, ), float(i)))
                                       for i in range(images)])),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)), randomness=dict(seed=1),
            default_hooks=dict(checkpoint=dict(
                type=AtomicCheckpointHook, **(checkpoint or dict(interval=1)))),
            custom_hooks=[dict(type=SeedHook)], resume=resume is not None,
            load_from=resume and str(tmp_path / 'run' / resume))
        runner.train()
        return list(BATCHES)
    return train
