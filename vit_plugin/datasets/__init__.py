"""Data sets that are checked before training.

Image folders (`folders`), tar shards and Hugging Face data sets (`packed`) need mmpretrain, COCO
(`coco`) needs mmdet.
"""
from .loading import LoadImage

__all__ = ['LoadImage']
