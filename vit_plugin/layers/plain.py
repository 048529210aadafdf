"""Layers of torch whose operator may be called in their stead."""
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from vit_plugin import ops

# As torch defines them, to notice when somebody patches a class.
KINDS: tuple[Any, ...] = (nn.Linear, nn.LayerNorm, nn.GELU, nn.Dropout, nn.Sequential)
FORWARDS = {kind: kind.forward for kind in KINDS}
HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
GLOBAL_HOOKS = tuple(getattr(torch_module, f'_global{hooks}') for hooks in HOOKS)


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether nobody can tell if the operator of a layer runs without its ``__call__``.

    So there is no hook, no subclass, no patched ``forward``, and no weight that is more than a
    parameter (an adapter's, a quantised one).
    """
    return (type(module) is kind and kind.forward is FORWARDS[kind]
            and 'forward' not in module.__dict__  # torch 2.4 does not compile vars()
            and not any(getattr(module, hooks) for hooks in HOOKS)
            and not any(GLOBAL_HOOKS)
            and all(p is None or type(p) is nn.Parameter for p in module._parameters.values()))


def is_idle(drop: nn.Module) -> bool:
    """Whether nobody can tell if a dropout is left out."""
    return is_plain(drop, nn.Dropout) and not (drop.training and drop.p)


def linear(layer: Any, x: Tensor) -> Tensor:
    """``layer(x)`` of x (..., C), by `vit_plugin.ops.linear` where the layer is plain."""
    if is_plain(layer, nn.Linear):
        return ops.linear(x, layer.weight, layer.bias)
    return layer(x)


def after_norm(norm: Any, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
    """``branch(norm(x))``; a plain layer norm's output is not kept for the backward pass."""
    out = norm(x)
    if not is_plain(norm, nn.LayerNorm):
        return branch(out)
    with ops.recomputed_norm(out, x, norm.weight, norm.bias, norm.eps):
        return branch(out)
