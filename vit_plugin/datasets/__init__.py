"""Data sets that are checked before training, and reproducible augmentation.

Image folders (`folders`) need mmpretrain, COCO (`coco`) needs mmdet.
"""
from .loading import LoadImage
from .seeding import Draw, SeededDataset, SeededSampler

__all__ = ['Draw', 'LoadImage', 'SeededDataset', 'SeededSampler']
