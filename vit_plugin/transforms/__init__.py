"""Checks of training data; they need mmengine, NumPy and Pillow only."""
from .checks import CheckLabels, CheckMasks

__all__ = ['CheckLabels', 'CheckMasks']
