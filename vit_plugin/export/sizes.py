"""Changes to a model, so that one exported program is right at every height and width."""
import copy

import torch
from torch import Tensor, nn

from vit_plugin.layers import PatchEmbed, PatchMerging


def exportable(model: nn.Module) -> nn.Module:
    """A copy of a model that exports with dynamic height and width, and computes the same."""
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        if isinstance(module, (PatchEmbed, PatchMerging)):
            module.register_forward_hook(rename_map)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(module, name, AdaptivePool(child.output_size))
    return model


def rename_map(module: nn.Module, args: tuple, x: Tensor) -> Tensor:
    """(B, H, W, C) -> the same map after `rename_sizes`; a forward hook."""
    return rename_sizes(x, (1, 2))


def rename_sizes(x: Tensor, dims: tuple[int, int]) -> Tensor:
    """The same tensor, whose ``dims`` are new symbols while a program is exported.

    torch.export writes every size as an expression of the image's. Those of Swin's stages nest
    roundings, and torch 2.13 reasons about them for minutes; about a plain symbol it has nothing
    to reason, and excludes no size.
    """
    sizes = list(x.shape)
    if all(isinstance(sizes[dim], int) for dim in dims):
        return x
    for dim in dims:
        sizes[dim] = new_symbol(sizes[dim])
    # A copy, since whether another layout needs one would exclude maps of one patch.
    return x.clone(memory_format=torch.contiguous_format).view(sizes)


def new_symbol(length: int) -> int:
    """The length as if it came from data, of which the exporter knows that it is positive."""
    symbol = torch.full((), length).item()
    torch._check(symbol >= 1)
    return symbol  # type: ignore[return-value]  # int() would make it a number


class AdaptivePool(nn.Module):
    """`nn.AdaptiveAvgPool2d` as two matrix products, for which every runtime has an operator.

    (B, C, H, W) -> (B, C, h, w).

    Args:
        size: h and w, or one number for both; None keeps the map's.
    """

    def __init__(self, size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.size = size if isinstance(size, tuple) else (size, size)

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        if height is not None:
            x = pooling_matrix(x.shape[2], height, x) @ x
        if width is not None:
            x = x @ pooling_matrix(x.shape[3], width, x).T
        return x


def pooling_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """(target, source): row i averages the places floor(i s / t) to ceil((i + 1) s / t) - 1."""
    row = torch.arange(target, device=like.device)[:, None]
    place = torch.arange(source, device=like.device)
    first = row * source // target
    end = ((row + 1) * source + target - 1) // target
    inside = (place >= first) & (place < end)
    return inside.to(like.dtype) / (end - first).to(like.dtype)
