"""Formats of a teacher's outputs on disk: all values, or the highest scores."""
from math import log
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .losses import Distillation, ScoreDistillation


class Format(Protocol):
    """Outputs (B, width) in float32 <-> an array (B,) of records."""

    record: np.dtype

    def encode(self, x: Tensor) -> np.ndarray: ...

    def decode(self, stored: np.ndarray) -> Tensor: ...


def format_for(losses: list[Distillation], width: int) -> Format:
    """The format of outputs (B, width) that serves these losses."""
    loss = losses[0]
    if len(losses) > 1 or not isinstance(loss, ScoreDistillation) or width > 2**16 or loss.sigmoid:
        return Vector(width)
    return TopScores(width, loss)


class Vector:
    """All values as half floats."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.record = np.dtype([('values', 'f2', width)])

    def __str__(self) -> str:
        return f'{self.width} values'

    def encode(self, x: Tensor) -> np.ndarray:
        stored = np.zeros(len(x), self.record)
        stored['values'] = x.cpu().numpy()
        return stored

    def decode(self, stored: np.ndarray) -> Tensor:
        return torch.from_numpy(stored['values'].astype(np.float32))


class TopScores:
    """The ``top_k`` highest scores as half floats, and one for all others.

    The latter preserves their share of the probability at the loss's temperature. With ``top_k=1``
    the decision alone is kept.

    Args:
        width: Number of classes, at most 65,536.
        loss: What the scores are for.
    """

    def __init__(self, width: int, loss: ScoreDistillation) -> None:
        self.width, self.loss, self.top_k = width, loss, min(loss.top_k, width)
        scores = self.top_k + 1 if self.top_k > 1 else 0  # the last is that of all others
        self.record = np.dtype([('classes', 'u2', self.top_k), ('scores', 'f2', scores)])

    def __str__(self) -> str:
        of_others = 1 < self.top_k < self.width
        at = f' at temperature {self.temperature:g}' if of_others else ''
        return f'top {self.top_k} of {self.width} scores{at}'

    @property
    def temperature(self) -> float:
        """The temperature of the loss, or 1."""
        return getattr(self.loss, 'temperature', 1.)

    def encode(self, x: Tensor) -> np.ndarray:
        stored = np.zeros(len(x), self.record)
        top, classes = x.topk(self.top_k)
        stored['classes'] = classes.cpu().numpy().reshape(stored['classes'].shape)
        if self.top_k > 1:
            others = x.scatter(1, classes, -torch.inf) / self.temperature
            number = max(self.width - self.top_k, 1)
            others = self.temperature * (others.logsumexp(1, keepdim=True) - log(number))
            stored['scores'] = torch.cat((top, others), 1).cpu().numpy()
        return stored

    def decode(self, stored: np.ndarray) -> Tensor:
        classes = torch.from_numpy(stored['classes'].astype(np.int64)).view(len(stored), -1)
        if self.top_k == 1:
            return torch.zeros(len(stored), self.width).scatter_(1, classes, 1.)
        scores = torch.from_numpy(stored['scores'].astype(np.float32))
        others = scores[:, -1:].expand(-1, self.width)
        return others.scatter(1, classes, scores[:, :-1])
