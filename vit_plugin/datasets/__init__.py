"""Data sets that are checked before training, and reproducible augmentation.

Image folders (`folders`), tar shards and Hugging Face data sets (`packed`) need mmpretrain, COCO
(`coco`) needs mmdet.
"""
from .loading import LoadImage
from .seeding import Draw, SeededDataset, SeededSampler

__all__ = ['Draw', 'LoadImage', 'SeededDataset', 'SeededSampler']
