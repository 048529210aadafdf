"""Runs that are the same again: seeds, samples and checkpoints; needs mmengine with OpenCV.

::

    SeedHook       (seed, iteration, rank) -> what is random for a batch
    SeededSampler  (seed, epoch, sample)   -> SeededDataset: what is random for a sample
    SkipBatchSampler                       -> batches of an epoch that was begun before
    AtomicCheckpointHook                   -> whole files, with pending gradients
"""
from .checkpoints import AtomicCheckpointHook
from .sampling import Draw, SeededDataset, SeededSampler, SkipBatchSampler
from .seeding import SeedHook

__all__ = ['AtomicCheckpointHook', 'Draw', 'SeedHook', 'SeededDataset', 'SeededSampler',
           'SkipBatchSampler']
