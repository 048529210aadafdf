"""Checks of training data; they need mmengine, NumPy and Pillow only.

Fast augmentation for classification (`crop`, `augment`) needs mmpretrain.
"""
from .checks import CheckLabels, CheckMasks

__all__ = ['CheckLabels', 'CheckMasks']
