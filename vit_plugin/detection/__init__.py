"""Parts of mmdet's detectors that bfloat16 needs; needs mmdet."""
from .float32 import Float32ATSSHead, Float32RetinaHead, Float32RoIExtractor, Float32RPNHead

__all__ = ['Float32ATSSHead', 'Float32RPNHead', 'Float32RetinaHead', 'Float32RoIExtractor']
