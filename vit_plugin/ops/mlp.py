"""The multi-layer perceptron of a block: contract and reference."""
from torch import Tensor, nn

from .attention import Map


def mlp(x: Tensor, layers: nn.Sequential) -> Tensor:
    """(..., C) -> (..., D), ``linear(gelu(linear(x)))`` as the layers of a `FeedForward`."""
    out: Tensor = layers(x)
    return out


def linear(layer: Map) -> Map:
    """The map (..., C) -> (..., D) that a linear layer is."""
    return layer


def linears(layers: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """The two linear layers of a `FeedForward`, C -> hidden and hidden -> D."""
    first, second = (layer for layer in layers.modules() if isinstance(layer, nn.Linear))
    return first, second
