"""Linear layers, in inference on the CPU by the faster of two libraries."""
import torch
from torch import Tensor, nn

from .paths import Path, choose_path

# torch takes MKL's matrix products, which leave AVX-512 unused on AMD's processors; oneDNN's use
# it. Without AVX-512 MKL's are as fast or faster.
USES_ONEDNN = (torch.backends.mkldnn.is_available()
               and torch.backends.cpu.get_cpu_capability() == 'AVX512')


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer(x)`` of x (..., C)."""
    if (USES_ONEDNN and choose_path(x) is Path.CPU and is_plain(layer, nn.Linear)
            and x.dtype == layer.weight.dtype == torch.float32
            and not torch.is_autocast_enabled('cpu')):
        return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, 'none', [], '')
    return layer(x)


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer does no more than its type says: no adapter, hook or quantised weight."""
    return (type(module) is kind and not module._forward_hooks and not module._forward_pre_hooks
            and all(type(p) is nn.Parameter for p in module.parameters(recurse=False)))
