"""Features of another width and grid, compared through what the student learns for it."""
import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .losses import Distillation


@MODELS.register_module()
class FeatureDistillation(Distillation):
    """``cosine * (1 - cos(P(s), t)) + (1 - cosine) * smooth_l1(P(s), t)``, P a learnt projection.

    Local features (B, C, H, W) are compared pixel by pixel on the teacher's grid, to which the
    student's are resized; global ones (B, C) image by image, with the mean of the student's map
    where it has one. Pretraining without labels from foundation models: Ranzinger et al.,
    "AM-RADIO", https://arxiv.org/abs/2312.06709, and Shang et al., "Theia",
    https://arxiv.org/abs/2407.20179, whose code (bdaiinstitute/theia, ``cos_l1``) has the default's
    factors 0.9 and 0.1.

    Args:
        weight: Factor of the loss.
        cosine: Factor of the cosine part, in [0, 1]; the rest is the smooth L1 part's.
        student_channels: Width of the student's features; found by itself in a config.
        teacher_channels: Width of the teacher's features; found by itself in a config.
    """

    dims = (2, 4)

    def __init__(self, student_channels: int, teacher_channels: int, weight: float = 1.,
                 cosine: float = 0.9) -> None:
        super().__init__(weight)
        if not 0 <= cosine <= 1:
            raise UserError(f'cosine={cosine} must lie in [0, 1]')
        self.cosine = cosine
        self.project = nn.Linear(student_channels, teacher_channels)

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """Widths and grids may differ; a global feature has no map to compare with."""
        if len(student) == 2 and len(teacher) == 4:
            return 'the teacher has a map, but the student one feature for the whole image'
        dims = min(len(student), len(teacher))
        return super().mismatch((0,) * dims, (0,) * len(teacher))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = student.float(), teacher.float()
        if student.ndim == 4 and teacher.ndim == 2:
            student = student.mean((2, 3))
        if student.ndim == 4:
            if student.shape[2:] != teacher.shape[2:]:
                student = F.interpolate(student, teacher.shape[2:], mode='bilinear')
            student, teacher = (x.movedim(1, 3) for x in (student, teacher))
        student = self.project(student.to(self.project.weight.dtype)).float()
        direction = 1 - F.cosine_similarity(student, teacher, dim=-1).mean()
        size = F.smooth_l1_loss(student, teacher)
        return self.cosine * direction + (1 - self.cosine) * size
