"""Axial rotary positions: Siméoni et al., "DINOv3", https://arxiv.org/abs/2508.10104."""
import math

import torch
import torch.nn.functional as F
from torch import Tensor


def rotary_position(grid: tuple[int, int], head_dim: int, num_tokens: int = 0,
                    base: float = 100., device: torch.device | None = None) -> Tensor:
    """Cosines and sines (1, num_tokens + h*w, 2 * head_dim) of the angles of each token.

    A patch's centre has coordinates in [-1, 1] on each axis, whatever the number of patches. Half
    of the angles are of the row and half of the column, ``2 pi * coordinate / base ** (i / n)`` for
    i = 0 ... n-1 with ``n = head_dim / 4``. The first ``num_tokens`` tokens are not rotated.
    Equal to facebookresearch/dinov3's (layers/rope_position_encoding.py) in float32.
    """
    n = head_dim // 4
    periods = base**(torch.arange(n, device=device) / n)
    axes = [(torch.arange(size, device=device) + 0.5) / size * 2 - 1 for size in grid]
    places = torch.stack(torch.meshgrid(*axes, indexing='ij'), dim=-1)
    angles = 2 * math.pi * places.unsqueeze(-1) / periods  # (h, w, 2, n)
    angles = F.pad(angles.flatten(2).flatten(0, 1), (0, 0, num_tokens, 0)).repeat(1, 2)
    return torch.cat((angles.cos(), angles.sin()), dim=-1).unsqueeze(0)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Queries or keys (B, heads, N, D) turned by ``rotation`` (W, N, 2D); B is a multiple of W.

    Channel i and channel i + D/2 are a point in the plane. Su et al., "RoFormer",
    https://arxiv.org/abs/2104.09864, equation 34, with the channels in this order.
    """
    cos, sin = rotation.unsqueeze(1).chunk(2, dim=-1)
    points = x.unflatten(0, (-1, len(rotation)))
    first, second = points.chunk(2, dim=-1)
    turned = points * cos + torch.cat((-second, first), dim=-1) * sin
    out: Tensor = turned.flatten(0, 1).to(x.dtype)
    return out
