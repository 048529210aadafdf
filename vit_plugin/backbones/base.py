"""What the backbones share: freezing, checkpointing of activations, argument checks."""
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Backbone(BaseModule):
    """Base of the backbones: weights are initialised and parts frozen at construction."""

    in_channels: int
    with_cp: bool

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        """The modules and parameters that ``frozen_stages`` names."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop the gradients of the frozen parts and put them into evaluation mode."""
        for part in self.frozen_parts():
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'Backbone':
        """Set the mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen_parts():
            if isinstance(part, nn.Module):
                part.eval()
        return self

    def run_block(self, block: nn.Module, *inputs: Any) -> Tensor:
        """Run a block; with ``with_cp``, its activations are computed again in the backward."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    def check_input(self, x: Tensor) -> None:
        """Raise `ValueError` unless ``x`` is (B, in_channels, H, W)."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f'{type(self).__name__} takes images of shape '
                             f'(B, {self.in_channels}, H, W), got {tuple(x.shape)}')


def init_linear_and_norm(module: nn.Module) -> None:
    """Weights of linear layers from N(0, 0.02) cut at ±2, norms 1, biases 0.

    As in the official code of both papers (``_init_weights`` of facebookresearch/deit's timm and
    of microsoft/Swin-Transformer); convolutions keep torch's initialisation there and here.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def pair(name: str, value: Any) -> tuple[int, int]:
    """A size or a (height, width) of positive integers as a pair, else `ValueError`."""
    sizes = (value, value) if isinstance(value, int) else value
    if (not isinstance(sizes, Sequence) or len(sizes) != 2
            or not all(isinstance(size, int) and size > 0 for size in sizes)):
        raise ValueError(f'{name} must be a positive integer or a pair (height, width) of them, '
                         f'got {value!r}')
    return sizes[0], sizes[1]


def resolve_out_indices(out_indices: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Indices of outputs as a rising tuple of 0 ... depth-1, negative ones counted from the end.

    Raises:
        ValueError: one is out of range, or they do not rise.
    """
    given = [out_indices] if isinstance(out_indices, int) else list(out_indices)
    indices = tuple(i + depth if i < 0 else i for i in given)
    if not indices or not all(0 <= i < depth for i in indices):
        raise ValueError(f'out_indices={out_indices!r} must lie in {-depth} ... {depth - 1}')
    if list(indices) != sorted(set(indices)):
        raise ValueError(f'out_indices={out_indices!r} must rise, without repeats')
    return indices


def check_heads(embed_dims: int, num_heads: int) -> None:
    """Raise `ValueError` unless the channels divide among the heads."""
    if embed_dims <= 0 or num_heads <= 0 or embed_dims % num_heads:
        raise ValueError(f'embed_dims={embed_dims} must be a positive multiple of '
                         f'num_heads={num_heads}')


def check_frozen_stages(frozen_stages: int, depth: int) -> None:
    """Raise `ValueError` unless -1 <= frozen_stages <= depth."""
    if not -1 <= frozen_stages <= depth:
        raise ValueError(f'frozen_stages={frozen_stages} must lie in -1 ... {depth}')
