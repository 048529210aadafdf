"""Swin's attention in (shifted) windows with a relative position bias."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .groups import WindowGroup, window_groups
from .linear import linear
from .paths import Path, choose_path
from .recompute import BiasedAttention
from .windows import crop, merge_windows, pad_to_windows, partition_windows, shift_mask

# torch < 2.7 does not tell export from compilation
is_exporting = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)


def relative_position_index(window: tuple[int, int]) -> Tensor:
    """(N, N) rows of the bias table, one for each pair of the window's N = h*w tokens.

    Entry (i, j) numbers the offset from token j to token i, row by row: Swin, equation 4.
    """
    height, width = window
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    y, x = y.flatten(), x.flatten()
    dy = y[:, None] - y[None, :] + height - 1
    dx = x[:, None] - x[None, :] + width - 1
    return dy * (2 * width - 1) + dx


class WindowAttention(nn.Module):
    """(B, nW, N, C) -> (B, nW, N, C), tokens of one window attending to each other."""

    relative_position_index: Tensor

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int]) -> None:
        super().__init__()
        self.num_heads = num_heads
        num_offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_offsets, num_heads))
        # In the state dict for OpenMMLab's sake, whose Swins have it there.
        self.register_buffer('relative_position_index', relative_position_index(window))
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within windows; ``mask`` (nW, N, N) is added to the scores of each window."""
        b, num_windows, n, c = x.shape
        bias = self.bias()[None]
        if mask is not None:
            bias = bias + mask[:, None]
        if self.training and b == 0:
            # Without a batch the attention gives the bias no gradient, which DDP would wait for.
            x = x + 0 * bias.sum()
        # Windows with biases of their own are folded into the heads, the others into the batch:
        # so one (1, heads', N, N) bias is broadcast and never copied.
        folded = bias.shape[0]
        heads = folded * self.num_heads
        qkv = linear(self.qkv, x).reshape(b, num_windows, n, 3, self.num_heads, c // self.num_heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)
        q, k, v = qkv.reshape(3, b * (num_windows // folded), heads, n, c // self.num_heads)
        bias = bias.reshape(1, heads, n, n).to(q.dtype)
        if is_exporting():
            # Else the attention asks whether a batch of 1 is the bias's 1, and export keeps the 1.
            bias = bias.expand(q.shape[0], -1, -1, -1)
        x = attend(q, k, v, bias)
        x = x.reshape(b, num_windows, self.num_heads, n, c // self.num_heads)
        x = x.transpose(2, 3)
        if is_exporting():
            # An exporter may decompose the attention into one with another memory layout, where
            # the view that the reshape is recorded as here is impossible (ONNX, torch 2.13).
            x = x.clone(memory_format=torch.contiguous_format)
        return linear(self.proj, x.reshape(b, num_windows, n, c))

    def attend_group(self, x: Tensor, group: WindowGroup, bias: Tensor) -> Tensor:
        """`forward` for the tokens (T, C) of a group of windows, given what `bias` returns."""
        n, c = bias.shape[-1], x.shape[-1]
        if group.sources is None:
            qkv = linear(self.qkv, x)
        else:
            padded = F.pad(x, (0, 0, 0, 1))  # the row added is what all padding has
            qkv = linear(self.qkv, padded)[group.sources]
        qkv = qkv.reshape(-1, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = bias if group.mask is None else bias + group.mask
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=scores.to(q.dtype))
        x = x.transpose(1, 2).reshape(-1, c)
        return linear(self.proj, x if group.places is None else x[group.places])

    def bias(self) -> Tensor:
        """The relative position bias (heads, N, N)."""
        return self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention of q, k, v (B, heads, N, C) with a learnt bias (1 or B, heads, N, N)."""
    if q.device.type == 'cuda':
        if len(q) >= 2**16:  # more than the efficient implementation takes
            halves = zip(q.chunk(2), k.chunk(2), v.chunk(2))
            return torch.cat([attend(*half, bias) for half in halves])
        # Not cuDNN's, which torch 2.13 prefers on Hopper: with a bias its gradients can be NaN at
        # 64, 192, ... tokens (pytorch#196678).
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    if q.device.type == 'cpu' and choose_path(q) is Path.TRAINING:
        return BiasedAttention.apply(q, k, v, bias)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


class ShiftedWindowAttention(nn.Module):
    """(B, H, W, C) -> (B, H, W, C).

    ::

        x -> pad -> roll by -shift -> windows -> attention -> merge -> roll back -> crop

    Inference on the CPU takes each group of windows through all of that before the next; on a GPU
    one kernel does all but the projections.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: tuple[int, int]) -> None:
        super().__init__()
        self.window = window
        self.w_msa = WindowAttention(embed_dims, num_heads, window)

    def forward(self, x: Tensor, shift: tuple[int, int] = (0, 0),
                mask: Tensor | None = None) -> Tensor:
        """Attend in windows shifted by ``shift``.

        ``mask`` is that of `windows.shift_mask`, for callers that use it for several blocks.
        """
        path = choose_path(x)
        if path is Path.CPU:
            return self.forward_in_groups(x, shift)
        if path is Path.CUDA:
            return self.forward_fused(x, shift)
        size = (x.shape[1], x.shape[2])
        x = pad_to_windows(x, self.window)
        padded = (x.shape[1], x.shape[2])
        if shift != (0, 0):
            x = x.roll((-shift[0], -shift[1]), dims=(1, 2))
            if mask is None:
                mask = shift_mask(padded, self.window, shift, x.device)
        x = self.w_msa(partition_windows(x, self.window), mask)
        x = merge_windows(x, self.window, padded)
        if shift != (0, 0):
            x = x.roll(shift, dims=(1, 2))
        return crop(x, size)

    def forward_in_groups(self, x: Tensor, shift: tuple[int, int]) -> Tensor:
        """The same, a group of windows at a time; padding is not projected."""
        size = (x.shape[1], x.shape[2])
        tokens = x.flatten(0, 2)
        bias = self.w_msa.bias()[None]
        out = None
        for group in window_groups(x.shape[0], size, self.window, shift):
            part = self.w_msa.attend_group(tokens.index_select(0, group.tokens), group, bias)
            out = part.new_empty(tokens.shape) if out is None else out
            out.index_copy_(0, group.tokens, part)
        return x if out is None else out.unflatten(0, x.shape[:3])

    def forward_fused(self, x: Tensor, shift: tuple[int, int]) -> Tensor:
        """The same by a kernel that reads and writes the map itself."""
        from .fused import window_attention  # needs Triton, which `choose_path` looked for
        padding = self.w_msa.qkv(x.new_zeros(1, x.shape[-1]))[0]
        qkv = self.w_msa.qkv(x)
        return self.w_msa.proj(window_attention(qkv, padding, self.w_msa.bias(), self.window,
                                                shift))
