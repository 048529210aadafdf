"""Losses on classifiers' scores (B, K) or segmentors' (B, K, H, W), beside the whole label loss."""
import torch
import torch.nn.functional as F
from torch import Tensor

from vit_plugin.registry import MODELS

from .losses import SoftenedDistillation


@MODELS.register_module()
class DIST(SoftenedDistillation):
    """``beta * (1 - mean_b r(s_b, t_b)) + gamma * (1 - mean_k r(s_k, t_k))``, times T^2.

    s and t are the softmax of the scores over T, r is Pearson's correlation: between the classes
    of each image b, and within each class k over the images. Huang et al., "Knowledge distillation
    from a stronger teacher", https://arxiv.org/abs/2205.10536. The defaults are those of the
    authors' ``dist_kd.py`` (hunto/image_classification_sota).

    Args:
        weight: Factor of the loss.
        beta: Factor of the relation between classes.
        gamma: Factor of the relation within classes.
        temperature: T.
    """

    dims = (2, 4)
    over_classes = True

    def __init__(self, weight: float = 1., beta: float = 1., gamma: float = 1.,
                 temperature: float = 1.) -> None:
        super().__init__(weight, temperature)
        self.beta, self.gamma = beta, gamma

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = ((as_rows(x) / self.temperature).softmax(1) for x in (student, teacher))
        between = 1 - correlation(student, teacher).mean()
        within = 1 - correlation(student.T, teacher.T).mean()
        return self.temperature**2 * (self.beta * between + self.gamma * within)


@MODELS.register_module()
class DKD(SoftenedDistillation):
    """``T^2 * (alpha * KL(b_t || b_s) + beta * KL(q_t || q_s))``.

    b is the probability of the true class and of all others together, q that of each other class
    among the others. Zhao et al., "Decoupled knowledge distillation",
    https://arxiv.org/abs/2203.08679. The defaults are the authors' for CIFAR-100; on ImageNet they
    take ``beta=0.5, temperature=1`` (megvii-research/mdistiller, configs/imagenet).

    Args:
        weight: Factor of the loss.
        alpha: Factor of the part on the true class.
        beta: Factor of the part on the others.
        temperature: T.
    """

    dims = (2,)
    over_classes = True
    needs_labels = True

    def __init__(self, weight: float = 1., alpha: float = 1., beta: float = 8.,
                 temperature: float = 4.) -> None:
        super().__init__(weight, temperature)
        self.alpha, self.beta = alpha, beta

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        is_other = torch.ones_like(student, dtype=torch.bool).scatter_(1, labels[:, None], False)
        true, others = [], []
        for scores in (student, teacher):
            scores = scores.float() / self.temperature
            other = scores[is_other].view(len(scores), -1)
            both = torch.stack((scores.gather(1, labels[:, None])[:, 0], other.logsumexp(1)), 1)
            true.append(both.log_softmax(1))
            others.append(other.log_softmax(1))
        loss = self.alpha * divergence(*true) + self.beta * divergence(*others)
        return self.temperature**2 * loss


@MODELS.register_module()
class StandardisedDistillation(SoftenedDistillation):
    """``T^2 * KL(softmax(z_t / T) || softmax(z_s / T))``, z = (scores - mean) / deviation.

    Mean and standard deviation are those of each image's scores, so student and teacher need not
    have scores of one size. Sun et al., "Logit standardization in knowledge distillation",
    https://arxiv.org/abs/2403.01427. The defaults are the authors' for CIFAR-100 (sunshangquan/
    logit-standardization-KD), who give the label loss a weight of 0.1 beside it
    (``loss=dict(loss_weight=0.1)`` of the head).

    Args:
        weight: Factor of the loss.
        temperature: T.
    """

    dims = (2, 4)
    over_classes = True

    def __init__(self, weight: float = 9., temperature: float = 2.) -> None:
        super().__init__(weight, temperature)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = ((standardise(as_rows(x)) / self.temperature).log_softmax(1)
                            for x in (student, teacher))
        return self.temperature**2 * divergence(student, teacher)


def as_rows(scores: Tensor) -> Tensor:
    """(B, K) or (B, K, H, W) -> (B or B*H*W, K) in float32."""
    return scores.float() if scores.ndim == 2 else scores.float().movedim(1, 3).flatten(0, 2)


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's correlation of each row of two matrices."""
    return F.cosine_similarity(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True), dim=1)


def standardise(scores: Tensor) -> Tensor:
    """(B, K) -> each row with mean 0 and standard deviation 1."""
    return (scores - scores.mean(1, keepdim=True)) / (scores.std(1, keepdim=True) + 1e-7)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of log-probabilities (B, K), averaged over the batch."""
    return F.kl_div(student, teacher, reduction='batchmean', log_target=True)
