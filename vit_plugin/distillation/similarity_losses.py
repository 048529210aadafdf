"""Similarities within a batch or an image, compared without anything that learns.

A learnt projection absorbs what the student should learn; a similarity has no width to match.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .losses import Distillation


@MODELS.register_module()
class SimilarityDistillation(Distillation):
    """``mean((Z(s) Z(s)^T - Z(t) Z(t)^T)^2)``, Z the batch's features: centred, of length 1.

    Each image's cosine similarities to the others of its batch must be the teacher's. Features are
    (B, C); maps (B, C, H, W) are averaged. Widths and grids may differ. Several processes compare
    the images of each one's batch, and exchange nothing. Park et al., "Relational knowledge
    distillation", https://arxiv.org/abs/1904.05068, and Tung and Mori, "Similarity-preserving
    knowledge distillation", https://arxiv.org/abs/1907.09682; they do not centre.

    Args:
        weight: Factor of the loss.
    """

    dims = (2, 4)
    least_batch = 3  # centred, two are opposite whatever they show

    def __init__(self, weight: float = 1.) -> None:
        super().__init__(weight)

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """Widths and grids may differ."""
        return self.wrong_dims(student, teacher)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = (x.float().mean((2, 3)) if x.ndim == 4 else x.float()
                            for x in (student, teacher))
        return F.mse_loss(similarities(student[None]), similarities(teacher[None]))


@MODELS.register_module()
class LocalSimilarityDistillation(Distillation):
    """``mean((Z(s) Z(s)^T - Z(t) Z(t)^T)^2)``, Z an image's pixels: centred, of length 1.

    Each pixel's cosine similarities to the others of its map must be the teacher's. The mean that
    is taken off is the batch's. Maps are (B, C, H, W); widths and grids may differ: both are
    averaged to the smaller grid, and to no more than ``grid``. Liu et al., "Structured knowledge
    distillation for semantic segmentation" (pair-wise), https://arxiv.org/abs/1903.04197, which
    does not centre.

    Args:
        weight: Factor of the loss.
        grid: Most rows and columns; time and memory grow with the fourth power.
    """

    def __init__(self, weight: float = 1., grid: int = 16) -> None:
        super().__init__(weight)
        if grid < 2:
            raise UserError(f'grid={grid} must be 2 at least')
        self.grid = grid

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """Widths and grids may differ, but a single pixel has nothing to be compared with."""
        if (1, 1) in (student[2:], teacher[2:]):
            return 'a map of one pixel has no similarities within'
        return self.wrong_dims(student, teacher)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        rows, columns = (min(self.grid, *sides)
                         for sides in zip(student.shape[2:], teacher.shape[2:]))
        ours, theirs = (F.adaptive_avg_pool2d(x.float(), (rows, columns)).flatten(2).transpose(1, 2)
                        for x in (student, teacher))
        return F.mse_loss(similarities(ours), similarities(theirs))


def similarities(x: Tensor) -> Tensor:
    """(B, N, C) -> cosine similarities (B, N, N) of what differs from the mean, in float32."""
    x = F.normalize(x - x.mean((0, 1)), dim=2)
    with torch.autocast(x.device.type, enabled=False):
        return x @ x.transpose(1, 2)
