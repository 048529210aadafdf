"""Choice of back-ends: the only module that decides, and the only one with torch's private names.

An operator of `vit_plugin.ops` is a reference in torch's own operators. `TABLE` lists what gives
the same results faster or in less memory; `choose` takes the first that is allowed and can run, or
the reference.
"""
import os
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode

from . import backends, recompute
from .attention import attention, fused_attention, window_attention
from .cpu import attention as cpu_attention
from .cpu import mlp as cpu_mlp
from .cpu import position_bias as cpu_position_bias
from .cpu import products as cpu_products
from .mlp import linear, mlp
from .position_bias import position_bias
from .recompute import saving
from .windows import is_exporting, kept_shift_mask

Operator = TypeVar('Operator', bound=Callable[..., object])


class Call(NamedTuple):
    """Facts about the call of an operator that its back-ends ask for.

    Attributes:
        x: The input.
        mode: See `mode_of`.
        plain: True if layers and dropout may do without being called, see `is_plain`.
        idle: True if the dropout may.
        kinds: Types of the layers.
    """

    x: Tensor
    mode: str
    plain: bool
    idle: bool
    kinds: tuple[type, ...]

    @property
    def on_cpu(self) -> bool:
        """True on the CPU, for a batch that is not empty."""
        return self.x.device.type == 'cpu' and len(self.x) > 0

    @property
    def on_gpu(self) -> bool:
        """True on a GPU, or where Triton's interpreter plays one."""
        return self.x.device.type == 'cuda' or os.environ.get('TRITON_INTERPRET') == '1'

    @property
    def plain_mlp(self) -> bool:
        """True if the layers are those of a `FeedForward` as it built them."""
        return self.plain and self.kinds == MLP

    @property
    def plain_linears(self) -> bool:
        """True if the layers are linear ones as torch has them, and no methods around these."""
        return self.plain and set(self.kinds) == {nn.Linear}


class Backend(NamedTuple):
    """A way to compute an operator, with the same arguments and results.

    Attributes:
        name: Key of `BACKENDS`, or ``'reference'`` for torch's own operators.
        can_run: Call -> True if the way may be taken.
        compute: The function.
    """

    name: str
    can_run: Callable[[Call], bool]
    compute: Callable[..., object]


def triton_window_attention(*inputs: Any) -> Tensor:
    """`window_attention` by the Triton kernel, whose library is optional."""
    from .triton import window_attention
    return window_attention(*inputs)


EAGER = ('training', 'inference')
MLP = (nn.Sequential, nn.Sequential, nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.Dropout)

# Operator -> what may stand for it; the first one that can run is taken.
TABLE: dict[Callable[..., object], tuple[Backend, ...]] = {
    attention: (
        Backend('cpu', lambda call: call.mode == 'inference' and call.on_cpu and call.idle
                and cpu_attention.is_unfused(call.x), cpu_attention.attention),
        Backend('reference', lambda call: call.mode != 'products' and call.idle, fused_attention),
    ),
    window_attention: (
        Backend('cpu', lambda call: call.mode == 'inference' and call.on_cpu and call.plain,
                cpu_attention.window_attention),
        Backend('cpu', lambda call: call.mode == 'compiled' and call.on_cpu and call.plain_linears,
                cpu_attention.compiled_window_attention),
        Backend('cpu', lambda call: call.mode in EAGER and call.on_cpu and call.idle,
                cpu_attention.trained_window_attention),
        Backend('triton', lambda call: call.mode == 'inference' and call.on_gpu and call.plain,
                triton_window_attention),
        Backend('reference', lambda call: call.mode in EAGER and call.idle,
                partial(window_attention, attention=fused_attention, mask=kept_shift_mask)),
        Backend('reference', lambda call: call.mode != 'products' and call.idle,
                partial(window_attention, attention=fused_attention)),
    ),
    linear: (
        Backend('cpu', lambda call: call.mode in EAGER and call.on_cpu and call.plain_linears
                and cpu_products.is_faster(call.x), cpu_products.linear),
    ),
    mlp: (
        Backend('recompute', lambda call: call.mode == 'training' and call.plain_mlp,
                recompute.mlp),
        Backend('cpu', lambda call: call.mode == 'inference' and call.on_cpu and call.plain_mlp,
                cpu_mlp.mlp),
        Backend('cpu', lambda call: call.mode == 'compiled' and call.on_cpu and call.plain_mlp,
                cpu_mlp.compiled_mlp),
    ),
    position_bias: (
        Backend('cpu', lambda call: call.mode == 'inference' and call.on_cpu and call.plain
                and not torch.is_autocast_enabled('cpu'), cpu_position_bias.position_bias),
    ),
    saving: (
        Backend('recompute', lambda call: call.mode == 'training' and not has_saving_hooks(),
                recompute.saving_no_norms),
    ),
}


def choose(operator: Operator, x: Tensor, *layers: object, drop: nn.Module | None = None
           ) -> Operator:
    """The operator itself, or the first back-end of `TABLE` that is allowed and can run.

    Args:
        operator: Key of `TABLE`.
        x: Its input.
        layers: Those that it computes, which a back-end may do without calling them.
        drop: Dropout that a back-end may leave out.
    """
    idle = drop is None or is_plain(drop)
    call = Call(x, mode_of(x), idle and all(map(is_plain, layers)), idle, tuple(map(type, layers)))
    for backend in TABLE[operator]:
        if backend.can_run(call) and is_allowed(backend.name):
            return backend.compute  # type: ignore[return-value]  # with the same arguments
    return operator


def mode_of(x: Tensor) -> str:
    """Who runs, records, counts or transforms the operators that ``x`` goes through.

    Returns:
        ``'training'`` or ``'inference'`` where nobody sees them; ``'compiled'`` where torch.compile
        records inference, and may call an operator of ours; ``'products'`` for whoever has rules
        for matrix products and none for fused attention: function transforms, traces, dispatch
        modes as FLOP counters; ``'recorded'`` for compiled training, exporters, function modes and
        tensors that are no plain ones.
    """
    grad = torch.is_grad_enabled()
    if torch.compiler.is_compiling():
        # Autocast does not reach into an operator. torch 2.4 cannot record the last question.
        if (is_exporting() or grad or torch.is_autocast_enabled('cpu')
                or torch._C._are_functorch_transforms_active()):
            return 'recorded'
        return 'compiled'
    if (torch._C._are_functorch_transforms_active() or torch.jit.is_tracing()
            or forward_ad._current_level >= 0 or _get_current_dispatch_mode() is not None):
        return 'products'
    modes = map(type, _get_current_function_mode_stack())
    if type(x) is not Tensor or any(mode is not DeviceContext for mode in modes):
        return 'recorded'
    return 'training' if grad else 'inference'


# As torch defines them, to notice when somebody patches a class.
KINDS = (nn.Linear, nn.LayerNorm, nn.GELU, nn.ReLU, nn.Dropout, nn.Sequential)
FORWARDS = {kind: kind.forward for kind in KINDS}
HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
GLOBAL_HOOKS = tuple(getattr(torch_module, f'_global{hooks}') for hooks in HOOKS)


def is_plain(layer: Any) -> bool:
    """True if computing a layer of torch without calling it is unobservable.

    So there is no hook, no subclass, no patched ``forward``, no weight that is more than a
    parameter (an adapter's, a quantised one), and no dropout at work. A method is plain if the
    layers named by `calls` are; one of a subclass that overrides it has no such names.
    """
    kind = type(layer)
    if kind is MethodType:
        names = CALLS.get(layer.__func__, ())
        return bool(names) and all(is_plain(getattr(layer.__self__, name)) for name in names)
    return (kind in FORWARDS and kind.forward is FORWARDS[kind]
            and 'forward' not in layer.__dict__  # torch 2.4 does not compile vars()
            and not any(getattr(layer, hooks) for hooks in HOOKS)
            and not any(GLOBAL_HOOKS)
            and all(p is None or type(p) is nn.Parameter for p in layer._parameters.values())
            and not (kind is nn.Dropout and layer.training and layer.p)
            and not (kind is nn.GELU and layer.approximate != 'none'))


# Method -> the names of the layers that it calls.
CALLS: dict[Callable[..., object], tuple[str, ...]] = {}


def calls(*names: str) -> Callable[[Operator], Operator]:
    """Mark a method of a layer that computes each token by itself, calling layers of torch.

    Operators may then call it for some tokens at a time, if these layers are plain.

    Args:
        names: Attributes of ``self`` that are the layers.
    """
    def mark(method: Operator) -> Operator:
        CALLS[method] = names
        return method

    return mark


def has_saving_hooks() -> bool:
    """True if hooks see what autograd saves, as those of checkpointing do: only one pair can.

    torch < 2.8 does not tell, which counts as yes.
    """
    top = getattr(torch._C._autograd, '_top_saved_tensors_default_hooks', None)
    return top is None or top(False) is not None


def is_allowed(name: str) -> bool:
    """True if the operators may take a back-end; a compiled model stays as it is."""
    return name == 'reference' or name in backends.allowed()


# What torch.compiler.assume_constant_result does, which takes a second to import the compiler.
is_allowed._dynamo_marked_constant = True  # type: ignore[attr-defined]
