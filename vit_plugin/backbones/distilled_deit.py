"""DeiT with a distillation token: Touvron et al., https://arxiv.org/abs/2012.12877, section 4."""
from collections.abc import Sequence

from torch import Tensor

from .deit import DeiT


class DistilledDeiT(DeiT):
    """`DeiT` with a distillation token; its ``'cls_token'`` output is the pair (cls, dist).

    The second token learns from a teacher what the first learns from the labels: DeiT, section
    4, figure 2. State-dict keys are those of mmpretrain's ``DistilledVisionTransformer``.
    Arguments are those of `DeiT`.
    """

    token_names = ('cls_token', 'dist_token')

    def format_output(self, x: Tensor, grid: tuple[int, int]) -> Tensor | Sequence[Tensor]:
        if self.out_type == 'cls_token':
            return x[:, 0], x[:, 1]
        return super().format_output(x, grid)
