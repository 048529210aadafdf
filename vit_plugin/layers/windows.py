"""Windows over a (B, H, W, C) map, as pure functions.

Sizes are (height, width) pairs. The cyclic shift and its mask are those of Swin, section 3.2,
figure 4.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

# What a token of another region adds to the attention score; the value of the official code.
MASKED = -100.0


def round_up(length: int, multiple: int) -> int:
    """The least multiple that is no smaller than ``length``."""
    # Not with a remainder: torch.compile takes minutes to reason about nested ones.
    return (length + multiple - 1) // multiple * multiple


def pad_to_windows(x: Tensor, window: tuple[int, int], dims: tuple[int, int] = (1, 2)) -> Tensor:
    """(B, H, W, C) -> (B, H', W', C): zeros at the bottom and right up to whole windows.

    ``dims`` are those of H and W, side by side.
    """
    pad_h, pad_w = (round_up(x.shape[d], length) - x.shape[d] for d, length in zip(dims, window))
    # A pad of 0 copies; when compiled it does not, and a condition would recompile for some sizes.
    if torch.compiler.is_compiling() or pad_h or pad_w:
        x = F.pad(x, (0, 0) * (x.ndim - 1 - dims[1]) + (0, pad_w, 0, pad_h))
    return x


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H', W', C) -> (B, H, W, C): undo `pad_to_windows`."""
    x = x[:, :size[0], :size[1]]
    # Compiled, a layout that depends on whether anything was cut would recompile for some sizes.
    return x.clone(memory_format=torch.contiguous_format) if torch.compiler.is_compiling() else x


def partition_windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """(B, H, W, C) -> (B, nW, N, C) with N tokens in each of nW windows; H, W whole windows."""
    b, h, w, c = x.shape
    rows, columns = h // window[0], w // window[1]
    x = x.reshape(b, rows, window[0], columns, window[1], c).transpose(2, 3)
    return x.reshape(b, rows * columns, window[0] * window[1], c)


def merge_windows(windows: Tensor, window: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """(B, nW, N, C) -> (B, H, W, C): the inverse of `partition_windows` for ``size`` (H, W)."""
    b, _, _, c = windows.shape
    rows, columns = size[0] // window[0], size[1] // window[1]
    x = windows.reshape(b, rows, columns, window[0], window[1], c).transpose(2, 3)
    return x.reshape(b, *size, c)


def shift_mask(size: tuple[int, int], window: tuple[int, int], shift: tuple[int, int],
               device: torch.device | None = None) -> Tensor:
    """Mask (nW, N, N) to add to the scores after a map of ``size`` (H, W) was rolled by -shift.

    Rolling brings tokens from opposite borders into one window. Tokens are numbered by the
    region they come from; pairs of different regions get `MASKED`, all others 0.
    """

    def regions(length: int, window: int, shift: int) -> Tensor:
        position = torch.arange(length, device=device)
        return (position >= length - window).int() + (position >= length - shift).int()

    rows, columns = (regions(*axis) for axis in zip(size, window, shift))
    region = (3 * rows[:, None] + columns[None, :])[None, :, :, None]
    region = partition_windows(region, window)[0, :, :, 0]
    return MASKED * (region[:, None, :] != region[:, :, None]).float()
