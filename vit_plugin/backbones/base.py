"""What the backbones share: freezing, checkpointing of activations, argument checks."""
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule, PretrainedInit
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vit_plugin.checkpoints import adapt_classifier, adapt_state_dict, load_pretrained


class Backbone(BaseModule):
    """Base of the backbones: weights are initialised and parts frozen at construction."""

    init_cfg: Any
    in_channels: int
    with_cp: bool

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says; ``'Pretrained'`` means `load_pretrained`."""
        given = self.init_cfg
        configs = [given] if isinstance(given, dict) else given or []
        pretrained = [cfg for cfg in configs if cfg['type'] in ('Pretrained', PretrainedInit)]
        again = self.is_init
        self.init_cfg = [cfg for cfg in configs if cfg not in pretrained]
        super().init_weights()
        self.init_cfg = given
        for cfg in [] if again else pretrained:
            load_pretrained(self, **{key: cfg[key] for key in cfg if key != 'type'})

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        adapt_state_dict(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _checkpoint_filter(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """mmpretrain's `ImageClassifier` calls this with its whole state dict before loading."""
        adapt_classifier(self, state_dict, prefix)

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

    def check_input(self, x: Tensor) -> Tensor:
        """Return ``x``, or raise `ValueError` unless it is (B, in_channels, H, W)."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f'{type(self).__name__} takes images of shape '
                             f'(B, {self.in_channels}, H, W), got {tuple(x.shape)}')
        if torch.jit.is_tracing():
            # A trace keeps this image's padding and shifts, so it must refuse other sizes: a
            # split into one part of the traced size fails for any other.
            for dim in (1, 2, 3):
                x, = x.split([int(x.shape[dim])], dim)
        return x


def init_linear_and_norm(module: nn.Module) -> None:
    """Weights of linear layers from N(0, 0.02) cut at ±2, norms 1, biases 0.

    As in the official code of both papers (``_init_weights`` of facebookresearch/deit's timm and
    of microsoft/Swin-Transformer); convolutions keep torch's initialisation there and here.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def is_integer(value: Any, least: int) -> bool:
    """Whether ``value`` is an `int`, no `bool`, and not under ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def pair(name: str, value: Any) -> tuple[int, int]:
    """A size or a (height, width) of positive integers as a pair, else `ValueError`."""
    sizes = (value, value) if isinstance(value, int) else value
    if (not isinstance(sizes, Sequence) or len(sizes) != 2
            or not all(is_integer(size, 1) for size in sizes)):
        raise ValueError(f'{name} must be a positive integer or a pair (height, width) of them, '
                         f'got {value!r}')
    return sizes[0], sizes[1]


def check_positive(**arguments: Any) -> None:
    """Raise `ValueError` unless each is a positive integer or a sequence of them."""
    for name, value in arguments.items():
        values = value if isinstance(value, Sequence) else [value]
        if not values or not all(is_integer(v, 1) for v in values):
            raise ValueError(f'{name}={value!r} must be a positive integer'
                             + (' each' if values is value else ''))


def check_rates(**arguments: Any) -> None:
    """Raise `ValueError` unless each is a probability below 1."""
    for name, rate in arguments.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f'{name}={rate!r} must be a number in [0, 1)')


def rising_rates(rate: float, depth: int) -> list[float]:
    """Rates of stochastic depth, from 0 in the first block linearly to ``rate`` in the last."""
    return [rate * i / max(depth - 1, 1) for i in range(depth)]


def resolve_indices(name: str, value: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Indices of layers as a rising tuple of 0 ... depth-1, negative ones counted from the end.

    Raises:
        ValueError: one is no integer or out of range, or they do not rise.
    """
    given = value if isinstance(value, Sequence) else [value]
    if not given or not all(is_integer(i, -depth) and i < depth for i in given):
        raise ValueError(f'{name}={value!r} must be integers in '
                         f'{-depth} ... {depth - 1}')
    indices = tuple(i + depth if i < 0 else i for i in given)
    if list(indices) != sorted(set(indices)):
        raise ValueError(f'{name}={value!r} must rise, without repeats')
    return indices


def check_heads(embed_dims: int, num_heads: int) -> None:
    """Raise `ValueError` unless the channels divide among the heads."""
    check_positive(embed_dims=embed_dims, num_heads=num_heads)
    if embed_dims % num_heads:
        raise ValueError(f'embed_dims={embed_dims} must be a multiple of num_heads={num_heads}')


def check_frozen_stages(frozen_stages: int, depth: int) -> None:
    """Raise `ValueError` unless -1 <= frozen_stages <= depth."""
    if not is_integer(frozen_stages, -1) or frozen_stages > depth:
        raise ValueError(f'frozen_stages={frozen_stages!r} must be an integer in -1 ... {depth}')
