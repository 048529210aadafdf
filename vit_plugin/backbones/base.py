"""Base class of the backbones: initialisation, loading, freezing."""
from collections.abc import Iterable

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from vit_plugin.checkpoints import adapt_classifier, adapt_state_dict, load_pretrained
from vit_plugin.errors import UserError

from .arguments import Config, InitCfg
from .init_cfg import split_init_cfg


class Backbone(BaseModule):
    """Base of the backbones: weights are initialised and parts frozen at construction."""

    init_cfg: InitCfg
    in_channels: int
    with_cp: bool

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says; ``'Pretrained'`` means `load_pretrained`."""
        again, given = self.is_init, self.init_cfg
        pretrained, self.init_cfg = split_init_cfg(given)
        super().init_weights()
        self.init_cfg = given
        for arguments in [] if again else pretrained:
            load_pretrained(self, **arguments)

    def _load_from_state_dict(self, state_dict: Config, prefix: str, *args: object) -> None:
        adapt_state_dict(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _checkpoint_filter(self, state_dict: Config, prefix: str, *args: object) -> None:
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

    def check_input(self, x: Tensor) -> Tensor:
        """Return ``x``, or raise `UserError` unless it is (B, in_channels, H, W)."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise UserError(f'{type(self).__name__} takes images of shape '
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
