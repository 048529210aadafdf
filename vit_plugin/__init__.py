"""DeiT and Swin Transformer, written once, for mmpretrain, mmdet and mmseg."""

__version__ = '0.1.0'
