"""Back-ends that the operators may take: those that users allow and this machine can run.

`vit_plugin.ops.choice` decides among them.
"""
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec

import torch

from vit_plugin.errors import UserError

# Name -> what it does, and what it runs on.
BACKENDS = {
    'cpu': 'attention and MLP in groups of tokens that fit the cache, linear layers by the faster '
           'library; eager work on the CPU',
    'recompute': 'GELU and norms computed again in the backward pass, not kept; eager training',
    'triton': "a window's attention in one kernel; inference on a GPU, Ampere or newer",
}
# The Triton kernel has not been timed on a GPU yet.
DEFAULT = ('cpu', 'recompute')
VARIABLE = 'VIT_PLUGIN_BACKEND'
REFERENCE = 'reference'

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
        UserError: a name is unknown, or this machine cannot run the back-end.
    """
    token = _allowed.set(parse(names, 'backend'))
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed() -> frozenset[str]:
    """The back-ends that the operators may take now, beside the reference."""
    names = _allowed.get()
    return from_environment(os.environ.get(VARIABLE)) if names is None else names


@lru_cache
def from_environment(value: str | None) -> frozenset[str]:
    """The back-ends that the environment variable allows."""
    if not value:
        return frozenset(name for name in DEFAULT if why_not(name) is None)
    return parse([name.strip() for name in value.split(',')], VARIABLE)


def parse(names: Sequence[str], source: str) -> frozenset[str]:
    """The names as a set, after checking them."""
    known = (REFERENCE, *BACKENDS)
    for name in names:
        if name not in known:
            raise UserError(f"{source}: there is no back-end '{name}': choose from "
                            f'{", ".join(known)}')
        reason = why_not(name)
        if reason is not None:
            raise UserError(f"{source}: the back-end '{name}' cannot run here: {reason}")
    return frozenset(names) - {REFERENCE}


@lru_cache
def why_not(name: str) -> str | None:
    """The reason why this machine cannot run a back-end; ``None`` where it can."""
    if name != 'triton':
        return None
    if find_spec('triton') is None:
        return 'Triton is not installed'
    gpu = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    if not gpu and os.environ.get('TRITON_INTERPRET') != '1':
        return 'there is no GPU of compute capability 8.0 (Ampere) or higher'
    return None
