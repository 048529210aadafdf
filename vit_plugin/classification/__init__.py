"""Classification heads; they need mmpretrain."""
from .heads import DeiTHead, DistilledDeiTHead

__all__ = ['DeiTHead', 'DistilledDeiTHead']
