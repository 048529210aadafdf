"""A toolkit's backbone beside the plugin's."""
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

# The names of mmseg's ViT, whose attention is torch's, and those of mmpretrain's and the plugin's.
MMSEG = {'attn.attn.in_proj_': 'attn.qkv.', 'attn.attn.out_proj.': 'attn.proj.',
         'ln_pre.': 'pre_norm.'}


def rename(name: str) -> str:
    for theirs, ours in MMSEG.items():
        name = name.replace(theirs, ours)
    return name


def unused(cfg: dict[str, Any]) -> set[str]:
    """mmseg builds a class token even where it takes it away before the first block."""
    return {'cls_token'} if cfg.get('with_cls_token', True) is False else set()


def assert_same(theirs: nn.Module, ours: nn.Module, cfg: dict[str, Any],
                size: tuple[int, int], modes: tuple[bool, ...] = (False,)) -> None:
    """Stock's random weights load strictly, the same is trained, and outputs are equal."""
    theirs.train()  # stock's Swins freeze here
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    trained = {rename(name) for name, p in theirs.named_parameters() if p.requires_grad}
    assert trained - unused(cfg) == {name for name, p in ours.named_parameters() if p.requires_grad}
    image = torch.randn(1, cfg.get('in_channels', 3), *size)
    for mode in modes:
        for model in (theirs, ours):
            model.train(mode)  # stock returns None
        with torch.no_grad():
            for a, b in zip(flatten(theirs(image)), flatten(ours(image)), strict=True):
                assert a.shape == b.shape
                assert (a - b).abs().max() <= 1e-5 * a.abs().max()


def randomise(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            offset = 1. if value.ndim == 1 and name.endswith('weight') else 0.
            value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))


def flatten(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    else:
        for output in outputs:
            yield from flatten(output)
