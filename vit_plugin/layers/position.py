"""Absolute position embeddings."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_position(embedding: Tensor, source: tuple[int, int], target: tuple[int, int],
                    num_tokens: int = 0, mode: str = 'bicubic', antialias: bool = False,
                    offset: float = 0.) -> Tensor:
    """(1, num_tokens + h*w, C) -> (1, num_tokens + H*W, C) by interpolation.

    The first ``num_tokens`` positions belong to no place in the image and are kept. Computed in
    float32, returned in the type of ``embedding``. DeiT, section 3, "Fixing the positional
    encoding across resolutions". DINOv2 without registers scales by ``(H + offset) / h`` in place
    of ``H / h`` (facebookresearch/dinov2, models/vision_transformer.py).
    """
    # While a model is exported, sizes may be symbols, which are not compared.
    if all(isinstance(side, int) for side in target) and source == target:
        return embedding
    tokens, grid = embedding[:, :num_tokens], embedding[:, num_tokens:]
    grid = grid.reshape(1, *source, -1).permute(0, 3, 1, 2)
    size: dict[str, Any] = dict(size=target)
    if offset:
        size = dict(scale_factor=[(new + offset) / old for new, old in zip(target, source)])
    grid = F.interpolate(grid.float(), **size, mode=mode, align_corners=False,
                         antialias=antialias)
    grid = grid.flatten(2).transpose(1, 2).to(embedding.dtype)
    return torch.cat((tokens, grid), dim=1)
