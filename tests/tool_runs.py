"""A small config, and a tool that must stop with a message."""
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

from tests.conftest import needs

CONFIG = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='vit_plugin.DeiT', img_size=32, patch_size=16, arch=dict(
        embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)),
    head=dict(type='vit_plugin.DeiTHead', num_classes=2, in_channels=8, loss=dict(
        type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))
data_preprocessor = dict(to_onehot=True, num_classes=2)
pipeline = [dict(type='vit_plugin.LoadImage'), dict(type='Resize', scale=(32, 32)),
            dict(type='PackInputs')]
data = dict(type='vit_plugin.ImageFolder', data_root='{folder}', pipeline=pipeline)
train_dataloader = dict(batch_size=4, num_workers=0, drop_last=True, dataset=data,
                        sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=4, num_workers=0, dataset=data,
                      sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=1)
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
default_hooks = dict(checkpoint=dict(type='vit_plugin.AtomicCheckpointHook', interval=1))
env_cfg = dict(cudnn_benchmark=False)
"""
Run = Callable[..., str]


@pytest.fixture
def config(tmp_path: Path, image_folder: Path) -> Path:
    needs('mmpretrain')
    path = tmp_path / 'first_hour.py'
    path.write_text(CONFIG.format(folder=image_folder))
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'work'


@pytest.fixture
def stopped(tool: Callable[..., None]) -> Run:
    """Run a tool, which must end with ``status`` and without a traceback; return what it says."""
    def run(name: str, *arguments: object, status: int = 1) -> str:
        said = StringIO()
        with pytest.raises(SystemExit) as stop, redirect_stderr(said):
            tool(name, *arguments)
        code = stop.value.code
        if isinstance(code, str):  # Python prints it, and exits with 1
            said.write(code)
            code = 1
        assert code == status, said.getvalue()
        assert 'Traceback' not in said.getvalue()
        return said.getvalue()
    return run
