"""A classifier with adapters: trained, resumed, and its weights merged."""
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.conftest import ROOT, needs
from vit_plugin.registry import MODELS

pytest.importorskip('peft')
CONFIG = ROOT / 'configs/classification/dinov2-small_lora_folder.py'


def test_resumed_and_merged(imagenet: Path, tool: Callable[..., None], tmp_path: Path) -> None:
    needs('mmpretrain')
    from tests.test_configs_classification import shrink

    cfg = shrink(Config.fromfile(CONFIG))
    cfg.model.backbone.lora_dropout = 0.1
    cfg.optim_wrapper.optimizer.lr, cfg.param_scheduler = 5., None
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    backbone = cfg.model.backbone.backbone
    torch.manual_seed(0)
    plain = MODELS.build(backbone)
    torch.save(plain.state_dict(), tmp_path / 'plain.pth')
    backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    config, merged = tmp_path / 'lora.py', tmp_path / 'merged.pth'
    cfg.dump(config)
    run = ('train', config, '--data-root', imagenet, '--work-dir')
    tool(*run, tmp_path / 'whole')
    tool(*run, tmp_path / 'resumed', '--resume', tmp_path / 'whole/epoch_1.pth')

    whole, resumed = (torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)
                      for name in ('whole', 'resumed'))
    state = whole['state_dict']
    assert state.keys() == resumed['state_dict'].keys()
    for name, value in state.items():
        assert torch.equal(value, resumed['state_dict'][name]), name
    for key, moments in whole['optimizer']['state'].items():
        for name, value in moments.items():
            assert torch.equal(value, resumed['optimizer']['state'][key][name]), (key, name)
    for name, value in plain.state_dict().items():  # the backbone's own weights are frozen
        assert torch.equal(value, state[f'backbone.{name}']), name

    tool('convert_checkpoint', tmp_path / 'whole/epoch_2.pth', merged, '--lora', config)
    lora, model, image = MODELS.build(cfg.model.backbone), plain.eval(), torch.randn(2, 3, 64, 64)
    lora.load_state_dict({name.removeprefix('backbone.'): value for name, value in state.items()
                          if name.startswith('backbone.')})
    with torch.no_grad():
        before, trained = model(image)[0], lora.eval()(image)[0]
        model.load_state_dict({name.removeprefix('backbone.'): value for name, value
                               in torch.load(merged)['state_dict'].items()
                               if name.startswith('backbone.')})
        torch.testing.assert_close(model(image)[0], trained, rtol=1e-5, atol=1e-5)
    assert (before - trained).abs().max() > 1e-3
