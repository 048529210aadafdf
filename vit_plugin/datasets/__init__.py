"""Data sets that are checked before training.

Image folders (`folders`), tar shards (`packed`) and Hugging Face data sets (`hugging_face`) need
mmpretrain, COCO (`coco`) needs mmdet.
"""
from .loading import LoadImage

__all__ = ['LoadImage']
