"""A few numbers of an image's pixels, which tell whether it is the image of an earlier run."""
import numpy as np
import torch
from torch import Tensor

# Each moves where another kind of augmentation differs: colours, flips and crops, sharpness.
FINGERPRINT = ('brightness', 'right minus left', 'lower minus upper part', 'strength of edges')
# How far they may be from stored ones, which are in half precision.
ATOL, RTOL = 1e-3, 1e-3


def fingerprints(x: Tensor) -> np.ndarray:
    """Pixels (B, C, H, W) -> (B, 4), see `FINGERPRINT`."""
    x = x.float()
    rows, columns, channels = (torch.linspace(-1, 1, n, device=x.device)
                               for n in (x.shape[2], x.shape[3], x.shape[1]))
    grey = torch.einsum('bchw,c->bhw', x, 1 + channels / 2) / len(channels)
    values = (grey.mean((1, 2)), (grey * columns).mean((1, 2)), (grey * rows[:, None]).mean((1, 2)),
              grey.diff(dim=2).abs().mean((1, 2)))
    return torch.stack(values, 1).cpu().numpy()


def differences(stored: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Image and number (N, 2) of what differs by more than rounding."""
    return np.argwhere(~np.isclose(found, stored, atol=ATOL, rtol=RTOL))
