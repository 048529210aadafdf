"""Checks of a teacher's outputs in training: finite, and not the same for every image."""
from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from torch import Tensor

from vit_plugin.errors import UserError


class FiniteCheck:
    """Raises `UserError` where a teacher's outputs hold NaN or infinity.

    On a GPU no step waits for the answer: it is read at the next call, so the run stops one
    iteration later, and the error names the iteration that it is of. That of a run's last
    iteration is not read.
    """

    def __init__(self) -> None:
        self.pending: tuple[Tensor, torch.cuda.Event, int | None] | None = None

    def __call__(self, outputs: Sequence[Tensor]) -> None:
        """Check outputs of one iteration; NaN and infinity stay what they are in a sum."""
        finite = torch.stack([output.sum(dtype=torch.float32) for output in outputs]).isfinite()
        iteration = MessageHub.get_current_instance().runtime_info.get('iter')
        if self.pending is not None:
            flag, event, before = self.pending
            self.pending = None
            event.synchronize()
            require_finite(flag, before)
        if not finite.is_cuda:
            return require_finite(finite, iteration)
        flag = torch.empty(finite.shape, dtype=torch.bool, pin_memory=True)
        flag.copy_(finite, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.pending = flag, event, iteration


def require_finite(finite: Tensor, iteration: int | None) -> None:
    """Raise `UserError` unless all of these are true."""
    if not finite.all():
        when = '' if iteration is None else f' at iteration {iteration}'
        raise UserError(
            f"the teacher's outputs hold NaN or infinity{when}, and nothing can be learnt of them: "
            'check its checkpoint and data_preprocessor. In float16 they may also have overflowed, '
            'which bfloat16 does not')


def require_variation(images: Tensor, outputs: Sequence[Tensor], teacher: str) -> bool:
    """True if outputs differ from image to image, where images do; else `UserError`."""
    if len(images) < 2 or not varies(images):
        return False
    if not any(varies(output) for output in outputs):
        raise UserError(f'the teacher {teacher} puts out the same for different images, so nothing '
                        'can be learnt of it: check its checkpoint and data_preprocessor')
    return True


def varies(x: Tensor) -> bool:
    """True if the entries of a batch differ by more than rounding."""
    x = x.float()
    return bool((x - x[:1]).abs().amax() > 1e-5 * x.abs().amax())
