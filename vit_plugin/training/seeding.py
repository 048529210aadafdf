"""Randomness that goes on where it was when a run is resumed."""
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import BatchSampler

from vit_plugin.errors import UserError
from vit_plugin.registry import HOOKS
from vit_plugin.toolkits import data_sets

from .sampling import SeededDataset, seed_generators


@HOOKS.register_module()
class SeedHook(Hook):
    """Seeds each training iteration by (seed, iteration, rank), and goes on in mid-epoch.

    What is random for a batch (Mixup, CutMix, stochastic depth, dropout) is then the same before
    and after a resume; mmengine's checkpoints hold no random state. What is random for a sample
    is `SeededSampler`'s and `SeededDataset`'s part.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.progress: dict[str, int] = {}  # of the epoch that the checkpoint lies in
        self.epoch = self.start = 0  # of the epoch that is trained; the start in iterations

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed; mmengine reads it from the checkpoint too late for that.

        Raises:
            UserError: the sampler seeds no samples, but the data set expects it.
        """
        sampler = find_sampler(runner)
        parts = data_sets(runner.train_dataloader.dataset)
        if not hasattr(sampler, 'set_seed') and any(isinstance(x, SeededDataset) for x in parts):
            raise UserError(
                f'train_dataloader has a SeededDataset, but the sampler {type(sampler).__name__}, '
                'which gives it no seeds: it needs '
                "sampler=dict(type='vit_plugin.SeededSampler', sampler=...)")
        if hasattr(sampler, 'set_seed') and sampler.sampler.seed != runner.seed:
            sampler.set_seed(runner.seed)
            start_anew(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the progress within the checkpoint's epoch."""
        self.progress = checkpoint.get('epoch_progress', {})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the progress within the checkpoint's epoch."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            meta, done = checkpoint['meta'], 0
            if meta['epoch'] == self.epoch:  # else it is finished
                done = meta['iter'] - self.start
            checkpoint['epoch_progress'] = dict(done=done, length=len(runner.train_dataloader))

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass over the samples of this epoch that a checkpoint in the middle of it has seen."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            done = self.iterations_done(runner)
            self.epoch, self.start = runner.epoch, runner.iter - done
            if done:
                pass_over(runner, done)

    def iterations_done(self, runner: Runner) -> int:
        """Iterations of the epoch that begins which were done before the checkpoint."""
        progress, self.progress = self.progress, dict(done=0)
        length = len(runner.train_dataloader)
        if runner.iter == 0 or progress.get('done') == 0:
            return 0
        if not progress:
            why = 'the checkpoint does not tell how many of its iterations were done'
        elif progress['done'] == progress['length']:  # nothing is left of it, whatever its length
            return length
        elif progress['length'] != length:
            why = (f"{progress['done']} of {progress['length']} iterations were done, but now it "
                   f'has {length}: the batch size, the number of processes or the data differ')
        else:
            return progress['done']
        runner.logger.warning(f'epoch {runner.epoch + 1} begins anew: {why}')
        return 0

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed the iteration."""
        seed_generators(runner.seed, runner.iter, runner.rank)


def pass_over(runner: Runner, done: int) -> None:
    """Let the epoch that begins start after its first iterations.

    Raises:
        UserError: the sampler, or the batch sampler, cannot.
    """
    sampler, batches = find_sampler(runner), runner.train_dataloader.batch_sampler
    where = (f'the checkpoint lies {done} iterations behind the start of epoch '
             f'{runner.epoch + 1}; to go on there, the training data needs ')
    if not hasattr(sampler, 'advance'):
        raise UserError(where + "sampler=dict(type='vit_plugin.SeededSampler', sampler=...)")
    if hasattr(batches, 'advance'):
        batches.advance(done)
    elif type(batches) is BatchSampler:
        sampler.advance(done * batches.batch_size)
    else:
        raise UserError(where + "batch_sampler=dict(type='vit_plugin.SkipBatchSampler', "
                        f"batch_sampler=dict(type='{type(batches).__name__}'))")


def find_sampler(runner: Runner) -> Any:
    """The sampler of the training data, also under a batch sampler."""
    loader = runner.train_dataloader
    return getattr(loader.batch_sampler, 'sampler', None) or loader.sampler


def start_anew(runner: Runner) -> None:
    """Let an iteration-based training fetch its data from the start again, by new workers.

    mmengine 0.10.7 has the workers fetch once the loop is built, before hooks are called. Its
    ``InfiniteSampler`` has one stream for all iterators, which ends with the first of them.
    """
    loop = runner.train_loop
    if not isinstance(loop, IterBasedTrainLoop):
        return
    sampler = find_sampler(runner)
    stream = getattr(sampler, 'sampler', sampler)  # within a SeededSampler
    if isinstance(stream, InfiniteSampler):
        stream.indices = stream._indices_of_rank()
    runner.train_dataloader._iterator = None  # else persistent workers stay as they started
    loop.dataloader_iterator = type(loop.dataloader_iterator)(runner.train_dataloader)
