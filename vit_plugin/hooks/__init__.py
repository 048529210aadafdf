"""Hooks for any toolkit; they need mmengine with OpenCV."""
from .data_time import DataTimeHook
from .label_maps import LabelCheckHook

__all__ = ['DataTimeHook', 'LabelCheckHook']
