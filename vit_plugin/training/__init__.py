"""Training: seeds, samplers, checkpoints, learning rates and precision.

::

    SeedHook       (seed, iteration, rank) -> random numbers of a batch
    SeededSampler  (seed, epoch, sample)   -> SeededDataset: random numbers of a sample
    SkipBatchSampler                       -> the rest of an epoch that an earlier run began
    AtomicCheckpointHook                   -> complete files, with pending gradients

`autocast` and `layer_decay` need torch and mmengine only, the others OpenCV as well.
"""
