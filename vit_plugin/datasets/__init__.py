"""Image folders and reproducible augmentation; needs mmpretrain."""
from .folders import ImageFolder, ImageNet
from .loading import LoadImage
from .seeding import Draw, SeededDataset, SeededSampler

__all__ = ['Draw', 'ImageFolder', 'ImageNet', 'LoadImage', 'SeededDataset', 'SeededSampler']
