"""A look at a student's outputs before training."""
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .frozen import Teacher, find_entry, find_size
from .taps import Tap, Watch

# Height and width of the empty image that is run once: the map of every stride up to 128 differs
# from the others, and few widths of layers have the proportion of the sides (`is_channels_last`).
PROBE = (128, 160)


def probe_shape(student: nn.Module, teachers: Sequence[Teacher]) -> tuple[int, int, int]:
    """Channels, height and width of an image that student and teachers can take."""
    channels = getattr(getattr(student, 'backbone', None), 'in_channels', 3)
    sizes = [find_size(teacher.model) for teacher in teachers
             if teacher.pixels.resize is None and not hasattr(teacher.model, 'backbone')]
    size = student_size(student) or next((size for size in sizes if size is not None), PROBE)
    return channels if isinstance(channels, int) else 3, *size


def student_size(student: nn.Module) -> tuple[int, int] | None:
    """(height, width) of the images that a student's DeiT is made for; ``None`` for others."""
    backbone: Any = getattr(student, 'backbone', None)
    if not hasattr(backbone, 'pos_embed') or not hasattr(backbone, 'grid'):
        return None
    (rows, columns), (height, width) = backbone.grid, backbone.patch_embed.patch_size
    return rows * height, columns * width


@torch.no_grad()
def probe(student: nn.Module, image: Tensor, taps: Sequence[Tap]) -> dict[str, list[Tensor]]:
    """A student's outputs for an image, by the tap's text, and the student as it was before.

    What only boxes lead to, as a detector's ``roi_head``, or only labels, is left out.
    """
    taps = [tap for tap in taps
            if tap.path.split('.')[0] not in ('roi_head', 'rpn_head', 'auxiliary_head')]
    training = {module: module.training for module in student.modules()}
    student.eval()
    try:
        with Watch(student, taps) as seen:
            find_entry(student, taps)(image)
    finally:
        for module, mode in training.items():
            module.training = mode
    return {tap.text: seen[tap] for tap in taps}
