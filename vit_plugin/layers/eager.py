"""Whether a layer may take a way of its own."""
import torch
from torch import Tensor


def is_eager(x: Tensor) -> bool:
    """Whether ``x`` is computed as it stands: neither compiled, exported, traced nor a subclass."""
    return (type(x) is Tensor and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing())
