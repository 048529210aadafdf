"""Two processes on the CPU: hard distillation, Mixup, EMA, mixed precision, accumulation."""
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.conftest import ROOT
from tests.distillation.test_unlabelled import SWIN, unlabelled
from tests.test_configs_classification import shrink


def losses_and_gradients(model: nn.Module, images: Tensor) -> tuple[list[float], dict]:
    """Of three iterations; a parameter without a gradient stops DDP in the second."""
    losses = []
    for _ in range(3):
        model.zero_grad()
        found = model(images, mode='loss')
        losses.append([value.item() for value in found.values()])
        sum(found.values()).backward()
    return losses, {name: parameter.grad for name, parameter in model.named_parameters()}


def unlabelled_student() -> nn.Module:
    torch.manual_seed(0)
    off = dict(type='vit_plugin.MGD', teacher='norm', student='backbone', weight=0.,
               student_channels=16, teacher_channels=16)
    config = unlabelled(backbone=dict(SWIN, drop_path_rate=0.))
    config['teacher']['img_size'] = config['teacher']['resize'] = 28  # 2x2 patches
    return MODELS.build(dict(config, distillation=[*config['distillation'], off]))


def one_of_two(rank: int, folder: Path, images: Tensor) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=2)
    model = DistributedDataParallel(unlabelled_student(), find_unused_parameters=False)
    torch.save(losses_and_gradients(model, images[2 * rank:][:2]), folder / f'{rank}.pth')
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    """The student's gradients and those of what the losses learn; a loss is switched off."""
    images = torch.randn(4, 3, 16, 16)
    losses, gradients = losses_and_gradients(unlabelled_student(), images)
    mp.start_processes(one_of_two, (tmp_path, images), nprocs=2, start_method='fork')
    shares = [torch.load(tmp_path / f'{rank}.pth', weights_only=False) for rank in (0, 1)]
    mean = (torch.tensor(shares[0][0]) + torch.tensor(shares[1][0])) / 2
    torch.testing.assert_close(mean, torch.tensor(losses))
    for _, found in shares:
        assert any('distillation.0' in name for name in found)
        for name, value in gradients.items():
            torch.testing.assert_close(found[f'module.{name}'], value, rtol=1e-4, atol=1e-6)


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
