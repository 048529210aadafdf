"""Batches: what a data loader makes of its data set."""
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
