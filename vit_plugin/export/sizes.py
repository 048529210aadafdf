"""What makes one exported program right at every height and width."""
import copy

import torch
from torch import Tensor, nn

from vit_plugin.layers import PatchEmbed, PatchMerging


def exportable(model: nn.Module) -> nn.Module:
    """A copy of a model that exports with dynamic height and width, and computes the same."""
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        if isinstance(module, (PatchEmbed, PatchMerging)):
            module.register_forward_hook(rename_sizes)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(module, name, AdaptivePool(child.output_size))
    return model


def rename_sizes(module: nn.Module, args: tuple, x: Tensor) -> Tensor:
    """(B, H, W, C) -> the same map, whose H and W are new symbols while a program is exported.

    torch.export writes every size as an expression of the image's. Those of Swin's stages nest
    roundings, and torch 2.13 reasons about them for minutes; about a plain symbol it has nothing
    to reason.
    """
    b, height, width, c = x.shape
    if isinstance(height, int) and isinstance(width, int):
        return x
    return x.reshape(b, new_symbol(height), new_symbol(width), c)


def new_symbol(length: int) -> int:
    """The length as if it came from data, of which the exporter knows that it is positive."""
    symbol = int(torch.full((), length).item())
    torch._check(symbol >= 1)
    return symbol


class AdaptivePool(nn.Module):
    """`nn.AdaptiveAvgPool2d` as two matrix products, for which every runtime has an operator.

    (B, C, H, W) -> (B, C, h, w).

    Args:
        size: h and w, or one number for both; None keeps the map's.
    """

    def __init__(self, size: int | None | tuple[int | None, int | None]) -> None:
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
