"""What mmdet's two-stage detectors lack for bfloat16; it needs mmdet."""
from .float32 import Float32RoIExtractor, Float32RPNHead

__all__ = ['Float32RPNHead', 'Float32RoIExtractor']
