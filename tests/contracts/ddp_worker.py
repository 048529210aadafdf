"""One of several processes on the gloo backend: ``ddp_worker.py RANK WORLD_SIZE FOLDER``.

Runs every check of `CHECKS` for every class, then FSDP, and leaves what it saw in FOLDER.
"""
import gc
import os
import sys
import traceback
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from registered import ARCHS, CLASSES, IMG_SIZE, MODELS, Case, gradients, image, loss
from torch import Tensor, nn
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.nn.parallel import DistributedDataParallel

# name -> arguments of the backbone, and find_unused_parameters
CHECKS = {
    'all': (dict(), False),
    'first output': (dict(out_indices=0), False),
    'frozen_stages=0': (dict(frozen_stages=0), False),
    'frozen_stages=1': (dict(frozen_stages=1), False),
    'with_cp': (dict(with_cp=True), False),
    'with_cp, find_unused_parameters': (dict(with_cp=True), True),
    'with_cp, frozen_stages=1': (dict(with_cp=True, frozen_stages=1), False),
}
BATCH = 4


def ddp_gradients(case: Case, arguments: dict, find_unused: bool) -> dict[str, Tensor]:
    """Those of a case."""
    return parallel_gradients(case.build(**arguments), find_unused)


def parallel_gradients(model: nn.Module, find_unused: bool = False) -> dict[str, Tensor]:
    """Those of the second iteration, where a parameter without a gradient is noticed."""
    parallel = DistributedDataParallel(model.train(), find_unused_parameters=find_unused)
    rank, share = dist.get_rank(), BATCH // dist.get_world_size()
    for _ in range(2):
        model.zero_grad()
        loss(parallel(image(BATCH, 72, 65)[rank * share:][:share])).backward()
    return gradients(model)


def lora() -> nn.Module:
    """A DeiT with adapters that change it, which alone learn."""
    backbone = dict(type='DeiT', arch=ARCHS[0], img_size=IMG_SIZE, out_type='featmap')
    model = MODELS.build(dict(type='LoRA', backbone=backbone, r=2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.2 * torch.randn(value.shape, generator=generator))
    return model


def block_types(case: Case) -> set[type]:
    """The classes of a backbone's blocks."""
    model = case.build()
    blocks = [model.layers] if hasattr(model, 'layers') else [s.blocks for s in model.stages]
    return {type(block) for several in blocks for block in several}


def train_fsdp(case: Case, folder: Path) -> dict[str, Any]:
    """One epoch of mmengine's FlexibleRunner with every block in a shard of its own."""
    from mmengine.model import BaseModel
    from mmengine.runner import FlexibleRunner
    from torch.distributed.fsdp import FullyShardedDataParallel

    class Model(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = case.build(frozen_stages=0)

        def forward(self, inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor]:
            return dict(loss=loss(self.backbone(inputs)))

    policy = partial(transformer_auto_wrap_policy, transformer_layer_cls=block_types(case))
    runner = FlexibleRunner(
        Model(), work_dir=str(folder), launcher='pytorch', experiment_name=case.cls.__name__,
        strategy=dict(
            type='FSDPStrategy',
            model_wrapper=dict(type='MMFullyShardedDataParallel', auto_wrap_policy=policy,
                               device_id=torch.device('cpu'))),
        train_dataloader=dict(
            dataset=list(image(BATCH, 72, 65)), batch_size=BATCH // dist.get_world_size(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=lambda images: dict(inputs=torch.stack(images))),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1),
            constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5)),
        train_cfg=dict(by_epoch=True, max_epochs=1), default_hooks=dict(
            logger=None, checkpoint=None, runtime_info=None, timer=None, sampler_seed=None,
            param_scheduler=None))
    runner.train()
    shards = [m for m in runner.model.modules() if isinstance(m, FullyShardedDataParallel)]
    # FSDP.state_dict() reads freed memory on the CPU (torch 2.13), so saving is not tested.
    with FullyShardedDataParallel.summon_full_params(runner.model):
        weights = {name.replace('_fsdp_wrapped_module.', ''): value.detach().clone()
                   for name, value in runner.model.named_parameters()}
    return dict(weights=weights, shards=len(shards))


def main(rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(rank))
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank,
                            world_size=world_size, timeout=timedelta(seconds=100))
    jobs = {(str(case), name): partial(ddp_gradients, case, *check)
            for case in CLASSES for name, check in CHECKS.items()}
    jobs['LoRA', 'all'] = lambda: parallel_gradients(lora())
    jobs |= {(str(case), 'fsdp'): partial(train_fsdp, case, folder) for case in CLASSES}
    seen = {}
    for key, job in jobs.items():
        try:
            seen[key] = job()
        except Exception:
            seen[key] = traceback.format_exc()
    torch.save(seen, folder / f'{rank}.pth')
    gc.collect()  # DDP first: gloo's threads could wait for it
    dist.destroy_process_group()


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
