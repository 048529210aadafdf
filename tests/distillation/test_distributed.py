"""Two processes on the CPU: hard distillation, Mixup, EMA, mixed precision, accumulation."""
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.conftest import ROOT, free_port
from tests.distillation.test_unlabelled import SWIN, unlabelled
from tests.test_configs_classification import shrink
from vit_plugin.cli.launch import leave_processes
from vit_plugin.distillation.module_outputs import flatten

Build = Callable[[], nn.Module]


def losses_and_gradients(model: nn.Module, batch: dict) -> tuple[list, dict]:
    """Of distillation in three iterations; a parameter without a gradient stops DDP in the second.

    What the toolkits divide a process's own loss by depends on its images, so that has no weight.
    """
    losses = []
    for _ in range(3):
        model.zero_grad()
        found = model(**batch, mode='loss')
        distilled = [value for name, value in found.items() if 'loss_distill' in name]
        own = [value for name, value in found.items() if 'loss' in name]
        losses.append([value.item() for value in distilled])
        (sum(distilled) + 0 * sum(x.sum() for x in flatten(own))).backward()
    return losses, {name: parameter.grad for name, parameter in model.named_parameters()}


def unlabelled_student() -> nn.Module:
    torch.manual_seed(0)
    off = dict(type='vit_plugin.MGD', teacher='norm', student='backbone', weight=0.,
               student_channels=16, teacher_channels=16)
    config = unlabelled(backbone=dict(SWIN, drop_path_rate=0.))
    config['teacher']['img_size'] = config['teacher']['resize'] = 28  # 2x2 patches
    return MODELS.build(dict(config, distillation=[*config['distillation'], off]))


def one_of_two(rank: int, folder: Path, build: Build, batch: dict) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=2)
    model = DistributedDataParallel(build(), find_unused_parameters=False)
    half = len(batch['inputs']) // 2
    share = {key: value[half * rank:][:half] for key, value in batch.items()}
    torch.save(losses_and_gradients(model, share), folder / f'{rank}.pth')
    del model
    leave_processes()


def assert_two_processes_are_one(folder: Path, build: Build, batch: dict) -> None:
    """The student's gradients, and those of what the losses learn."""
    losses, gradients = losses_and_gradients(build(), batch)
    mp.start_processes(one_of_two, (folder, build, batch), nprocs=2, start_method='fork')
    shares = [torch.load(folder / f'{rank}.pth', weights_only=False) for rank in (0, 1)]
    mean = (torch.tensor(shares[0][0]) + torch.tensor(shares[1][0])) / 2
    torch.testing.assert_close(mean, torch.tensor(losses))
    for _, found in shares:
        assert any('distillation.0' in name for name in found)
        for name, value in gradients.items():
            torch.testing.assert_close(found[f'module.{name}'], value, rtol=1e-4, atol=1e-6)


def test_pretraining_in_two_processes(tmp_path: Path) -> None:
    """A loss is switched off."""
    assert_two_processes_are_one(tmp_path, unlabelled_student,
                                 dict(inputs=torch.randn(4, 3, 16, 16)))


@pytest.mark.parametrize('task', ['detector', 'segmentor'])
def test_dense_models_in_two_processes(task: str, request: pytest.FixtureRequest,
                                       tmp_path: Path) -> None:
    dense = request.getfixturevalue(task)

    def build() -> nn.Module:
        torch.manual_seed(0)
        model = dense.distilled(dict(type='vit_plugin.FeatureDistillation', student='backbone',
                                     teacher='backbone'))
        model = revert_sync_batchnorm(model)  # which needs a GPU
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()  # a single image and a pixel have no deviation
        return model
    assert_two_processes_are_one(tmp_path, build, dense.batch)


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
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': str(free_port()),
             'OMP_NUM_THREADS': '1'})
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
