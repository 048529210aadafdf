"""Hooks for any toolkit; they need mmengine with OpenCV."""
from .checkpoint import AtomicCheckpointHook
from .seeding import SeedHook

__all__ = ['AtomicCheckpointHook', 'SeedHook']
