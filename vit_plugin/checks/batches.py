"""Batches: what a data loader makes of its data set."""
from torch import nn
from torch.utils.data import DataLoader

from .findings import Finding


def check_batch_size(loader: DataLoader) -> list[Finding]:
    """Error where an epoch has no batch, since the data are fewer than one."""
    if len(loader):
        return []
    size = getattr(loader.batch_sampler, 'batch_size', None)
    return [Finding(
        f'the training data have {len(loader.dataset)} images, '  # type: ignore[arg-type]
        f'fewer than a batch ({size} per process), and drop_last=True drops a smaller one, so that '
        'there is nothing to train on. Take a smaller batch: --cfg-options '
        'train_dataloader.batch_size=N')]


def check_compared_images(loader: DataLoader, model: nn.Module) -> list[Finding]:
    """Error where a loss of distillation compares a batch's images, and these are too few."""
    size = getattr(loader.batch_sampler, 'batch_size', None)
    needed = [(pair.loss.least_batch, pair.kind.__name__) for pair in getattr(model, 'pairs', ())]
    least, loss = max(needed, default=(1, ''))
    if size is None or size >= least:
        return []
    return [Finding(
        f'{loss} compares the images of a batch with each other, and learns nothing by '
        f'train_dataloader.batch_size={size} (per process): {least} is the least, 64 and more are '
        'better')]
