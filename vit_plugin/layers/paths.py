"""Which way the layers compute: the one place where it is chosen."""
from enum import Enum
from functools import lru_cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode


class Path(Enum):
    """The ways; all give the same results."""

    PLAIN = "torch's operators as they stand, for everything that is not one of the others"
    TRAINING = 'eager training: keeps less for the backward pass (recompute.py), oneDNN (linear.py)'
    CPU = 'eager inference on the CPU: in groups of tokens (groups.py), oneDNN (linear.py)'
    CUDA = "eager inference on a GPU: a window's attention in one kernel (fused.py)"


def choose_path(x: Tensor) -> Path:
    """The way for ``x``; what is compiled, exported, traced or watched goes the plain one."""
    # A dispatch mode watches, or replaces, every operator: FLOP counters, fake tensors.
    if (type(x) is not Tensor or torch.compiler.is_compiling() or torch.jit.is_tracing()
            or _get_current_dispatch_mode() is not None):
        return Path.PLAIN
    if torch.is_grad_enabled():
        return Path.TRAINING
    if x.device.type == 'cpu':
        return Path.CPU
    return Path.CUDA if x.device.type == 'cuda' and runs_triton(x.device) else Path.PLAIN


@lru_cache
def runs_triton(device: torch.device) -> bool:
    """Whether Triton is installed (torch brings it on Linux) and the GPU is Ampere or newer."""
    return find_spec('triton') is not None and torch.cuda.get_device_capability(device) >= (8, 0)
