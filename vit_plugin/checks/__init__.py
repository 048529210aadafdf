"""Checks before the first iteration; needs mmengine with OpenCV."""
from .hook import CheckHook

__all__ = ['CheckHook']
