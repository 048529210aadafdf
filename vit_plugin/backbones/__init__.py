"""The backbones; they need torch and mmengine only."""
from .deit import DeiT, DistilledDeiT
from .swin import SwinTransformer

__all__ = ['DeiT', 'DistilledDeiT', 'SwinTransformer']
