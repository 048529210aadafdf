"""Absolute position embeddings."""
import torch
import torch.nn.functional as F
from torch import Tensor


def resize_position(embedding: Tensor, source: tuple[int, int], target: tuple[int, int],
                    num_tokens: int = 0, mode: str = 'bicubic') -> Tensor:
    """(1, num_tokens + h*w, C) -> (1, num_tokens + H*W, C) by interpolation.

    The first ``num_tokens`` positions belong to no place in the image and are kept. Computed in
    float32, returned in the type of ``embedding``. DeiT, section 3, "Fixing the positional
    encoding across resolutions".
    """
    # While a model is exported, sizes may be symbols, which are not compared.
    if all(isinstance(side, int) for side in target) and source == target:
        return embedding
    tokens, grid = embedding[:, :num_tokens], embedding[:, num_tokens:]
    grid = grid.reshape(1, *source, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid.float(), size=target, mode=mode, align_corners=False)
    grid = grid.flatten(2).transpose(1, 2).to(embedding.dtype)
    return torch.cat((tokens, grid), dim=1)
