"""Classification heads and augmentation on the device; they need mmpretrain."""
from .augmentation import AugmentingDataPreprocessor
from .heads import DeiTHead, DistilledDeiTHead

__all__ = ['AugmentingDataPreprocessor', 'DeiTHead', 'DistilledDeiTHead']
