"""One run on an empty image before training, which tells the shapes of what is compared."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vit_plugin.backbones import DeiT

from .module_outputs import RecordedOutputs, Tap, find_entry
from .teacher import SIZE_ERRORS, Teacher, native_size

# Height and width of the image: the map of every stride up to 128 differs from the others, and few
# widths of layers have the proportion of the sides (`is_channels_last`).
SIZE = (128, 160)
# Parts of a student that only boxes or labels lead to.
NOT_REACHED = ('roi_head', 'rpn_head', 'auxiliary_head')


def training_size(student: nn.Module) -> tuple[int, int] | None:
    """(height, width) of a DeiT student's images; ``None`` for models that are made for any."""
    backbone = getattr(student, 'backbone', None)
    if not isinstance(backbone, DeiT):
        return None
    (rows, columns), (height, width) = backbone.grid, backbone.patch_embed.patch_size
    return rows * height, columns * width


def empty_image(student: nn.Module, teachers: Sequence[Teacher]) -> Tensor:
    """Zeros (1, C, H, W) of the size that student and teachers most likely take."""
    channels = getattr(getattr(student, 'backbone', None), 'in_channels', 3)
    if not isinstance(channels, int):
        channels = 3
    size = training_size(student) or teachers_size(teachers) or SIZE
    return torch.zeros(1, channels, *size)


def teachers_size(teachers: Sequence[Teacher]) -> tuple[int, int] | None:
    """(height, width) of the first teacher that tells for what images it was made.

    The toolkits' own models are left out: most take any, and tell that of their configs.
    """
    for teacher in teachers:
        if teacher.pixels.resize is None and not hasattr(teacher.model, 'backbone'):
            size = native_size(teacher.model)
            if size is not None:
                return size
    return None


@torch.no_grad()
def dry_run_student(student: nn.Module, image: Tensor, taps: Sequence[Tap]
                    ) -> dict[str, list[Tensor]]:
    """Outputs of the tapped modules by the text of the tap; the student stays as it was.

    Left out are modules that only boxes or labels lead to, and all if images of this size, which
    may be another in training, do not go through.
    """
    taps = [tap for tap in taps if not tap.is_in(NOT_REACHED)]
    modes = {module: module.training for module in student.modules()}
    student.eval()
    try:
        with RecordedOutputs(student, taps) as recorded:
            find_entry(student, taps)(image)
    except SIZE_ERRORS:
        if training_size(student) is not None:
            raise
        return {}
    finally:
        for module, mode in modes.items():
            module.training = mode
    return {tap.text: recorded[tap] for tap in taps}
