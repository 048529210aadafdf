"""Checks of training data; they need mmengine and NumPy only."""
from .checks import CheckLabels, CheckMasks

__all__ = ['CheckLabels', 'CheckMasks']
