"""The necks; they need torch and mmengine only."""
from .simple_pyramid import LayerNorm2d, SimplePyramid

__all__ = ['LayerNorm2d', 'SimplePyramid']
