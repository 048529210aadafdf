"""Hooks for any toolkit; they need mmengine with OpenCV."""
from .checkpoint import AtomicCheckpointHook
from .data_time import DataTimeHook
from .label_maps import LabelCheckHook
from .seeding import SeedHook

__all__ = ['AtomicCheckpointHook', 'DataTimeHook', 'LabelCheckHook', 'SeedHook']
