"""Windows over a (B, H, W, C) map, as pure functions.

Sizes are (height, width) pairs. The cyclic shift and its mask are those of Swin, section 3.2,
figure 4.
"""
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Added to the attention score of two tokens of different regions. The official code's -100 leaves
# weights near exp(-100), which are denormal: an Intel CPU multiplied them 80 times slower. Below
# -104 a weight is 0 in float32; the rest is for scores that differ. float16 ends at -65504.
MASKED = -1e4

# torch < 2.7 does not tell export from compilation.
is_exporting = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)

Size = tuple[int, int]
# A number of places, also as a tensor () where an exported model decides it when it runs.
Shift = tuple[int | Tensor, int | Tensor]


def round_up(length: int, multiple: int) -> int:
    """The least multiple that is no smaller than ``length``."""
    # Not with a remainder: torch.compile takes minutes to reason about nested ones.
    return (length + multiple - 1) // multiple * multiple


def pad_to_windows(x: Tensor, window: Size, dims: Size = (1, 2)) -> Tensor:
    """(B, H, W, C) -> (B, H', W', C): zeros at the bottom and right, up to whole windows.

    Args:
        x: The map.
        window: (height, width).
        dims: Those of H and W, side by side.
    """
    size = (x.shape[dims[0]], x.shape[dims[1]])
    pad_h, pad_w = (round_up(length, side) - length for length, side in zip(size, window))
    # A pad of 0 copies; when compiled it does not, and a condition would recompile for some sizes.
    if not (torch.compiler.is_compiling() or pad_h or pad_w):
        return x
    return F.pad(x, (0, 0) * (x.ndim - 1 - dims[1]) + (0, pad_w, 0, pad_h))


def crop(x: Tensor, size: Size) -> Tensor:
    """(B, H', W', C) -> (B, H, W, C): undo `pad_to_windows`."""
    x = x[:, :size[0], :size[1]]
    # Compiled, a layout that depends on whether anything was cut would recompile for some sizes.
    return x.clone(memory_format=torch.contiguous_format) if torch.compiler.is_compiling() else x


def roll(x: Tensor, shift: Shift) -> Tensor:
    """(B, H, W, C) -> (B, H, W, C): move every token down and right, cyclically."""
    down, right = shift
    if isinstance(down, Tensor) or isinstance(right, Tensor):
        for dim, places in zip((1, 2), shift):
            length = x.shape[dim]
            index = torch.arange(length, device=x.device) - places
            # Not with a remainder, which ONNX does not convert (torch 2.13).
            index = torch.where(index < 0, index + length, index)
            x = x.index_select(dim, torch.where(index < length, index, index - length))
        return x
    return x.roll((down, right), dims=(1, 2)) if down or right else x


def window_partition(x: Tensor, window: Size) -> Tensor:
    """(B, H, W, C) -> (B, nW, N, C) with N tokens in each of nW windows; H, W whole windows."""
    b, h, w, c = x.shape
    rows, columns = h // window[0], w // window[1]
    x = x.reshape(b, rows, window[0], columns, window[1], c).transpose(2, 3)
    return x.reshape(b, rows * columns, window[0] * window[1], c)


def window_reverse(windows: Tensor, window: Size, size: Size) -> Tensor:
    """(B, nW, N, C) -> (B, H, W, C): the inverse of `window_partition` for ``size`` (H, W)."""
    b, _, _, c = windows.shape
    rows, columns = size[0] // window[0], size[1] // window[1]
    x = windows.reshape(b, rows, columns, window[0], window[1], c).transpose(2, 3)
    return x.reshape(b, *size, c)


def shift_mask(size: Size, window: Size, shift: Shift,
               device: torch.device | None = None) -> Tensor:
    """Mask (nW, N, N) to add to the scores after a map of ``size`` (H, W) was rolled by -shift.

    Rolling brings tokens from opposite borders into one window. Tokens are numbered by the
    region they come from; pairs of different regions get `MASKED`, all others 0.
    """
    rows, columns = (regions(*axis, device) for axis in zip(size, window, shift))
    region = (3 * rows[:, None] + columns[None, :])[None, :, :, None]
    region = window_partition(region, window)[0, :, :, 0]
    return MASKED * (region[:, None, :] != region[:, :, None]).float()


@lru_cache(maxsize=8)  # two image sizes of a Swin with four stages
def kept_shift_mask(size: Size, window: Size, shift: Shift, device: torch.device) -> Tensor:
    """`shift_mask`, as a tensor that autograd may save whoever asked first."""
    with torch.inference_mode(False):
        return shift_mask(size, window, shift, device)


def regions(length: int, window: int, shift: int | Tensor, device: torch.device | None) -> Tensor:
    """Region 0, 1 or 2 that each of the ``length`` rows or columns of a rolled map comes from."""
    position = torch.arange(length, device=device)
    return (position >= length - window).int() + (position >= length - shift).int()
