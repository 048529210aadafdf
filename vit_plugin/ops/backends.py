"""Which back-ends the operators may take.

Every operator of `vit_plugin.ops` has a reference, which is torch's own operators, and some have
back-ends that give the same results faster or in less memory. A back-end is taken where it is
allowed here, can run on the tensors, and nobody observes the operators.
"""
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode

from vit_plugin.errors import UserError

# Name -> what it does, and what it runs on.
BACKENDS = {
    'cpu': 'attention and MLP in groups of tokens that fit the cache; eager work on the CPU',
    'onednn': "oneDNN's matrix products; float32 on CPUs with AVX-512 that are not Intel's",
    'recompute': 'GELU and norms computed again in the backward pass, not kept; eager training',
    'triton': "a window's attention in one kernel; inference on a GPU, Ampere or newer",
}
# The Triton kernel has not been timed on a GPU yet.
DEFAULT = ('cpu', 'onednn', 'recompute')
VARIABLE = 'VIT_PLUGIN_BACKEND'
# How many tokens 'cpu' takes at a time: 32 windows of 7x7; with 96 channels the hidden layer of an
# MLP then takes 2 MB.
TOKENS = 1568

# torch < 2.7 does not tell export from compilation
is_exporting = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)

_allowed: ContextVar[frozenset[str] | None] = ContextVar('vit_plugin_backends', default=None)


@contextmanager
def backend(*names: str) -> Iterator[None]:
    """Allow the operators these back-ends only, in this thread and within the ``with`` block.

    ``backend('reference')`` allows none, so that torch's own operators compute everything. The
    environment variable ``VIT_PLUGIN_BACKEND`` sets the same for a process, names separated by
    commas; without it all back-ends of `DEFAULT` are allowed.

    Args:
        names: Keys of `BACKENDS`, or ``'reference'``.

    Raises:
        ValueError: a name is unknown.
        ValueError: this machine cannot run the back-end; the message says why.
    """
    token = _allowed.set(parse(names, 'backend'))
    try:
        yield
    finally:
        _allowed.reset(token)


def allows(name: str) -> bool:
    """Whether the operators may take a back-end."""
    allowed = _allowed.get()
    if allowed is None:
        allowed = from_environment(os.environ.get(VARIABLE))
    return name in allowed


@lru_cache
def from_environment(value: str | None) -> frozenset[str]:
    """The back-ends that the environment variable allows."""
    if not value:
        return frozenset(name for name in DEFAULT if why_not(name) is None)
    return parse([name.strip() for name in value.split(',')], VARIABLE)


def parse(names: tuple[str, ...] | list[str], source: str) -> frozenset[str]:
    """The names as a set, after checking them."""
    known = ('reference', *BACKENDS)
    for name in names:
        if name not in known:
            raise UserError(f"{source}: there is no back-end '{name}': choose from "
                            f'{", ".join(known)}')
        reason = why_not(name)
        if reason is not None:
            raise UserError(f"{source}: the back-end '{name}' cannot run here: {reason}")
    return frozenset(names) - {'reference'}


@lru_cache
def why_not(name: str) -> str | None:
    """Why this machine cannot run a back-end; ``None`` where it can."""
    if name == 'onednn':
        if not torch.backends.mkldnn.is_available():
            return 'torch was built without oneDNN'
        if not torch.backends.cpu.get_cpu_capability().startswith('AVX512'):
            # torch's own products come from MKL, which is as fast there.
            return 'the CPU has no AVX-512, without which it is not faster'
        if is_intel():
            return "torch's own products, which are MKL's, use AVX-512 on Intel's CPUs"
    if name == 'triton':
        if find_spec('triton') is None:
            return 'Triton is not installed'
        if os.environ.get('TRITON_INTERPRET') != '1' and not (
                torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)):
            return 'there is no GPU of compute capability 8.0 (Ampere) or higher'
    return None


def is_intel() -> bool:
    """Whether the CPU is Intel's."""
    file = Path('/proc/cpuinfo')
    return 'GenuineIntel' in (file.read_text() if file.is_file() else platform.processor())


def is_observed(x: Tensor) -> bool:
    """Whether somebody sees, or transforms, the operators that ``x`` goes through.

    Compilers, exporters and tracers record them; dispatch and function modes count or replace
    them; function transforms and forward-mode differentiation need a rule for each.
    """
    return (type(x) is not Tensor or torch.compiler.is_compiling() or torch.jit.is_tracing()
            or _get_current_dispatch_mode() is not None
            or any(type(mode) is not DeviceContext for mode in _get_current_function_mode_stack())
            or is_transformed())


def is_compiled_inference(x: Tensor) -> bool:
    """Whether torch.compile records inference on the CPU, which 'cpu' computes as one operator.

    An exported model has torch's operators only, and autocast does not reach into an operator.
    """
    return (torch.compiler.is_compiling() and not is_exporting() and x.device.type == 'cpu'
            and not torch.is_grad_enabled() and not torch.is_autocast_enabled('cpu')
            and not torch._C._are_functorch_transforms_active() and allows_cpu())


def allows_cpu() -> bool:
    """Whether 'cpu' is allowed when a model is compiled; a compiled model stays as it is."""
    return allows('cpu')


# What torch.compiler.assume_constant_result does, which takes a second to import the compiler.
allows_cpu._dynamo_marked_constant = True  # type: ignore[attr-defined]


def is_transformed() -> bool:
    """Whether a function transform (vmap, grad, ...) or forward-mode differentiation is active."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def has_saving_hooks() -> bool:
    """Whether hooks see what autograd saves, as those of checkpointing do: only one pair can.

    torch < 2.8 does not tell, which counts as yes.
    """
    top = getattr(torch._C._autograd, '_top_saved_tensors_default_hooks', None)
    return top is None or top(False) is not None


def knows_products_only() -> bool:
    """Whether what sees the operators has a rule for matrix products, and none for fused attention.

    So do function transforms, mmengine's FLOP counter, which traces, and torch's on the CPU.
    """
    return torch.jit.is_tracing() or (not torch.compiler.is_compiling() and (
        is_transformed() or _get_current_dispatch_mode() is not None))
