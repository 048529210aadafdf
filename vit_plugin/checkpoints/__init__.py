"""Reading, recognising and converting weights."""
from .reading import read_state_dict

__all__ = ['read_state_dict']
