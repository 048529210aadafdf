"""Two processes on the CPU: hard distillation, Mixup, EMA, mixed precision, accumulation."""
import os
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import Config

from tests.conftest import ROOT
from tests.test_configs_classification import shrink


def test_dist_train(imagenet: Path, tmp_path: Path) -> None:
    # torch's gloo, mmengine's DDP wrapper and AmpOptimWrapper assume CUDA; tools/ works around it
    name = 'deit-base_distilled_regnety160-hard.py'
    cfg = shrink(Config.fromfile(ROOT / 'configs/distillation' / name))
    cfg.train_dataloader.batch_size = cfg.optim_wrapper.accumulative_counts = 2
    config, work = tmp_path / 'distributed.py', tmp_path / 'work'
    cfg.dump(config)
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', str(config), '2', '--work-dir', str(work), '--amp',
         '--data-root', str(imagenet)],
        cwd=ROOT, timeout=400, capture_output=True, text=True,
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': '29631', 'OMP_NUM_THREADS': '1'})
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-3000:]
    # 2 processes x 2 images x 2 iterations accumulated
    assert 'LR is set based on batch size of 512.0 and the current batch size is 4' in log
    content = torch.load(work / 'epoch_2.pth', weights_only=False)
    assert content['meta']['iter'] == 2
    assert not any('teacher' in key for part in ('state_dict', 'ema_state_dict')
                   for key in content[part])
    students = len(content['state_dict'])
    assert sum(len(group['params']) for group in content['optimizer']['param_groups']) == students
    logged = content['message_hub']['log_scalars']
    for name in ('loss_cls', 'loss_distill', 'agreement'):
        assert f'train/{name}' in logged
    assert any(not torch.equal(value, content['ema_state_dict'][f'module.{key}'])
               for key, value in content['state_dict'].items())
