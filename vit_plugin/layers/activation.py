"""Activations of the MLPs."""
import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)``, CLIP's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    'GELU': nn.GELU, 'QuickGELU': QuickGELU, 'ReLU': nn.ReLU}
