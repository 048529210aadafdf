"""Plain data that trainers store beside weights: names that torch's unpickler may look up."""
import argparse
import codecs
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleParamScheduler

LOCK = threading.Lock()  # torch has one list for all threads


@contextmanager
def safe_globals() -> Iterator[None]:
    """Allow `SAFE_GLOBALS` as long as a file is read, by one thread at a time."""
    with LOCK:
        before = [*torch.serialization.get_safe_globals()]  # torch 2.4 gives its own list
        torch.serialization.add_safe_globals(SAFE_GLOBALS)
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def named(function: Callable[..., object], *modules: str, name: str) -> list[Callable[..., object]]:
    """A function under each of ``module.name`` (torch 2.4 takes no name beside it)."""
    return [named_once(function, module, name) for module in modules]


def named_once(function: Callable[..., object], module: str, name: str) -> Callable[..., object]:
    """A function known to the unpickler as ``module.name``."""

    def call(*args: object) -> object:
        return function(*args)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call


def get_method(owner: object, name: str) -> object:
    """`getattr` on the classes for which mmengine's checkpoints need it, and on no others."""
    if not (owner is HistoryBuffer or owner is OneCycleParamScheduler) or name.startswith('__'):
        raise UnpicklingError(f"Unsupported global: getattr of {owner!r}, '{name}'")
    return getattr(owner, name)


def make_scalar(dtype: np.dtype[np.generic], value: object) -> object:
    """A NumPy scalar; without a value NumPy would make one of any size that the type names."""
    return SCALAR(dtype, value)


CODES = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?SU'
MULTIARRAY = ('numpy.core.multiarray', 'numpy._core.multiarray')  # of numpy 1 and 2
RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
SCALAR: Any = np.float64(0).__reduce__()[0]
# What mmengine's runner stores: logged scalars (numpy arrays in a HistoryBuffer), what data sets
# say of themselves, and a scheduler's way of annealing. Then the arguments that the trainers of
# DeiT and of timm store.
SAFE_GLOBALS: list[Any] = [
    HistoryBuffer, OneCycleParamScheduler,
    *named(get_method, 'builtins', '__builtin__', name='getattr'),
    ConfigDict, Counter, bytearray, complex, frozenset, range, set, slice,
    np.ndarray, np.dtype, *{type(np.dtype(code)) for code in CODES},
    *named(RECONSTRUCT, *MULTIARRAY, name='_reconstruct'),
    *named(make_scalar, *MULTIARRAY, name='scalar'),
    *named(codecs.encode, '_codecs', name='encode'),
    argparse.Namespace,
]
