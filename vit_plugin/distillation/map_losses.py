"""Losses on maps (B, C, H, W); those of several stages or pyramid levels are added up."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from .losses import Distillation, SoftenedDistillation, softened_divergence


@MODELS.register_module()
class PKD(Distillation):
    """``mean((n(s) - n(t))^2) / 2``, n standardises each channel over batch and pixels.

    This is one minus Pearson's correlation of the channels, up to the bias of the deviation. So
    the maps need not have values of one size, and detectors of different kinds can be compared.
    Cao et al., "PKD: general distillation framework for object detectors via Pearson correlation
    coefficient", https://arxiv.org/abs/2207.02039. The default weight is that of mmrazor's
    configs/distill/mmdet/pkd, on four levels of the FPN.

    Args:
        weight: Factor of the loss.
        resize: Resize the student's maps to the teacher's size where it is another.
    """

    def __init__(self, weight: float = 6., resize: bool = False) -> None:
        super().__init__(weight)
        self.resize = resize

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """Sizes may differ where they are made equal."""
        if self.resize and len(student) == len(teacher):
            student = (*student[:2], *teacher[2:])
        return super().mismatch(student, teacher)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        if student.shape[2:] != teacher.shape[2:]:
            student = F.interpolate(student, teacher.shape[2:], mode='bilinear')
        return F.mse_loss(standardise_channels(student), standardise_channels(teacher)) / 2


@MODELS.register_module()
class CWD(SoftenedDistillation):
    """``T^2 / C * sum_c KL(softmax(t_c / T) || softmax(s_c / T))``, the softmax over the pixels.

    Averaged over the batch. Shu et al., "Channel-wise knowledge distillation for dense
    prediction", https://arxiv.org/abs/2011.13256. The defaults are those of mmrazor's
    configs/distill/mmseg/cwd for segmentors' scores; for levels of an FPN, in
    configs/distill/mmdet/cwd, it takes ``weight=10``.

    Args:
        weight: Factor of the loss.
        temperature: T, positive.
    """

    def __init__(self, weight: float = 5., temperature: float = 1.) -> None:
        super().__init__(weight, temperature)

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """A single pixel says nothing."""
        if student[2:] == (1, 1):
            return 'the softmax over the pixels of a map with a single one is always 1'
        return super().mismatch(student, teacher)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        total = softened_divergence(student.flatten(2), teacher.flatten(2), self.temperature, dim=2)
        return total / (student.shape[0] * student.shape[1])


@MODELS.register_module()
class PixelDistillation(SoftenedDistillation):
    """``T^2 * KL(softmax(t / T) || softmax(s / T))`` of each pixel's classes, averaged over pixels.

    Hinton's loss for segmentation, "pixel-wise" in Liu et al., "Structured knowledge distillation
    for semantic segmentation", https://arxiv.org/abs/1903.04197. The default weight is that of
    the authors' irfanICMLL/structure_knowledge_distillation (``lambda_pi`` in run_train_val.sh).

    Args:
        weight: Factor of the loss.
        temperature: T, positive.
        sigmoid: Instead, KL of each class's answers yes and no, summed over the classes. In a
            config the heads decide where it is left out.
    """

    over_classes = has_sigmoid = True

    def __init__(self, weight: float = 10., temperature: float = 1., sigmoid: bool = False) -> None:
        super().__init__(weight, temperature)
        self.sigmoid = sigmoid

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        total = softened_divergence(student, teacher, self.temperature, sigmoid=self.sigmoid)
        return total * student.shape[1] / student.numel()


@MODELS.register_module()
class MGD(Distillation):
    """``sum((G(mask * A(s)) - t)^2) / B``: make the teacher's map of what a mask leaves.

    The mask leaves out a random share of the pixels, A is a 1x1 convolution where the widths
    differ, and G two 3x3 convolutions with a ReLU between. Yang et al., "Masked generative
    distillation", https://arxiv.org/abs/2205.01529. The defaults are the authors' (yzd-v/MGD) for
    one-stage detectors; for two-stage ones they take ``weight=5e-7, masked=0.45``, for segmentors
    ``masked=0.75``.

    Args:
        weight: Factor of the loss.
        masked: Share of the pixels that are left out, in [0, 1).
        student_channels: Width of the student's map; found by itself in a config.
        teacher_channels: Width of the teacher's map; found by itself in a config.
    """

    def __init__(self, student_channels: int, teacher_channels: int, weight: float = 2e-5,
                 masked: float = 0.65) -> None:
        super().__init__(weight)
        if not 0 <= masked < 1:
            raise UserError(f'masked={masked} must lie in [0, 1)')
        self.masked = masked
        self.align = (nn.Identity() if student_channels == teacher_channels else
                      nn.Conv2d(student_channels, teacher_channels, 1))
        self.generate = nn.Sequential(
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1))

    def mismatch(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> str | None:
        """Widths may differ."""
        reason = super().mismatch((0, 0, *student[2:]), (0, 0, *teacher[2:]))
        return reason and 'both must be maps of one size'

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        batch, _, height, width = student.shape
        kept = torch.rand(batch, 1, height, width, device=student.device) >= self.masked
        made = self.generate(self.align(student) * kept)
        return F.mse_loss(made.float(), teacher.float(), reduction='sum') / batch


def standardise_channels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> the same with mean 0 and deviation 1 in each channel, as in mmrazor's."""
    x = x.float()
    mean = x.mean((0, 2, 3), keepdim=True)
    return (x - mean) / (x.std((0, 2, 3), keepdim=True) + 1e-6)
