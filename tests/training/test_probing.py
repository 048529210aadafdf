"""Linear probing: the optimum of a convex problem, on the features that the head reads."""
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from tests.conftest import ROOT
from tests.test_configs_classification import shrink
from vit_plugin.cli.main import run
from vit_plugin.training.probing import features, fit_linear

CONFIG = ROOT / 'configs/classification/dinov2-small_linear_folder.py'


@pytest.mark.parametrize('weight_decay', [1e-3, 0.1])
def test_fit_is_the_optimum(weight_decay: float) -> None:
    """There, the gradient by the closed form ``(softmax - onehot)^T x / N + decay W`` is 0."""
    torch.manual_seed(0)
    x, y = torch.randn(60, 5) * 3 + 1, torch.randint(3, (60,))
    layer = nn.Linear(5, 3)
    loss = fit_linear(layer, x, y, weight_decay)
    error = layer(x).softmax(-1) - F.one_hot(y, 3)
    with torch.no_grad():
        assert (error.T @ x / 60 + weight_decay * layer.weight).abs().max() < 1e-5
        assert error.mean(0).abs().max() < 1e-5
        penalty = weight_decay / 2 * layer.weight.square().sum()
        assert loss == pytest.approx(float(F.cross_entropy(layer(x), y) + penalty), rel=1e-5)


def test_probe_writes_a_classifier(imagenet: Path, tool: Callable[..., None], tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch,
                                   capfd: pytest.CaptureFixture) -> None:
    """Its checkpoint tests as the command says."""
    small, work = tmp_path / 'small.py', tmp_path / 'work'
    cfg = shrink(Config.fromfile(CONFIG))
    cfg.dump(small)
    arguments = ['--work-dir', str(work), '--data-root', str(imagenet), '--weight-decay', '1e-6']
    monkeypatch.setattr(sys, 'argv', ['vit-plugin probe', str(small), *arguments])
    run('probe')
    said = ''.join(capfd.readouterr())
    accuracy = re.findall(r'accuracy/top1: ([\d.]+)', said)
    assert len(accuracy) == 1
    tool('test', small, work / 'probe.pth', '--work-dir', work, '--data-root', imagenet)
    assert re.findall(r'accuracy/top1: ([\d.]+)', ''.join(capfd.readouterr())) == accuracy
    content = torch.load(work / 'probe.pth', weights_only=False)
    assert content['meta']['dataset_meta']['classes']
    assert content['state_dict']['head.layers.head.weight'].any()


def test_features_are_what_the_head_reads(imagenet: Path, tmp_path: Path) -> None:
    cfg = shrink(Config.fromfile(CONFIG))
    cfg.work_dir = str(tmp_path)
    cfg.val_dataloader.dataset.data_root = str(imagenet)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator
    runner = Runner.from_cfg(cfg)
    x, y = features(runner.model, runner.test_dataloader)
    assert len(x) == len(y) == len(runner.test_dataloader.dataset)
    batch = next(iter(runner.test_dataloader))
    with torch.no_grad():
        predicted = runner.model.test_step(batch)
    scores = torch.stack([sample.pred_score for sample in predicted])
    layer = runner.model.head.layers.head
    torch.testing.assert_close(layer(x[:len(scores)]).softmax(-1), scores)
