"""Hooks for any toolkit; they need mmengine with OpenCV."""
from .checkpoint import AtomicCheckpointHook
from .label_maps import LabelCheckHook
from .seeding import SeedHook

__all__ = ['AtomicCheckpointHook', 'LabelCheckHook', 'SeedHook']
