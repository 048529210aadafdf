"""Randomness that goes on where it was when a run is resumed."""
import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import BatchSampler

from vit_plugin.errors import UserError
from vit_plugin.registry import HOOKS


def seed_generators(*key: int, devices: bool = True) -> None:
    """Seed ``random``, NumPy and torch by a key of non-negative integers.

    Without ``devices`` only torch's generator of the CPU, which takes a fiftieth of the time.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    seed_torch = torch.manual_seed if devices else torch.default_generator.manual_seed
    seed_torch(int(words[2]) << 32 | int(words[3]))


@HOOKS.register_module()
class SeedHook(Hook):
    """Seeds each training iteration by (seed, iteration, rank), and goes on in mid-epoch.

    What is random for a batch (Mixup, CutMix, stochastic depth, dropout) is then the same before
    and after a resume; mmengine's checkpoints hold no random state. What is random for a sample
    is `SeededSampler`'s and `SeededDataset`'s part.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed; mmengine reads it from the checkpoint too late for that."""
        sampler, loop = find_sampler(runner), runner.train_loop
        if hasattr(sampler, 'set_seed') and sampler.sampler.seed != runner.seed:
            sampler.set_seed(runner.seed)
            if isinstance(loop, IterBasedTrainLoop):
                # mmengine 0.10.7 lets the workers fetch before it has read the checkpoint
                loop.dataloader_iterator = type(loop.dataloader_iterator)(runner.train_dataloader)

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass over what was drawn of this epoch before a checkpoint in the middle of it."""
        loader = runner.train_dataloader
        done = runner.iter - runner.epoch * len(loader)
        if isinstance(runner.train_loop, EpochBasedTrainLoop) and done > 0:
            sampler, batches = find_sampler(runner), loader.batch_sampler
            where = (f'the checkpoint lies {done} iterations behind the start of epoch '
                     f'{runner.epoch + 1}; to go on there, the training data needs ')
            if not hasattr(sampler, 'advance'):
                raise UserError(
                    where + "sampler=dict(type='vit_plugin.SeededSampler', sampler=...)")
            if hasattr(batches, 'advance'):
                batches.advance(done)
            elif type(batches) is BatchSampler:
                sampler.advance(done * batches.batch_size)
            else:
                raise UserError(where + "batch_sampler=dict(type='vit_plugin.SkipBatchSampler', "
                                f"batch_sampler=dict(type='{type(batches).__name__}'))")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the iteration."""
        seed_generators(runner.seed, runner.iter, runner.rank)


def find_sampler(runner: Runner) -> Any:
    """The sampler of the training data, also under a batch sampler."""
    loader = runner.train_dataloader
    return getattr(loader.batch_sampler, 'sampler', None) or loader.sampler
