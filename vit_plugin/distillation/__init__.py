"""Teacher-student training; needs mmpretrain."""
from .classifier import DistilledClassifier
from .losses import HardDistillation, SoftDistillation
from .teacher import Teacher

__all__ = ['DistilledClassifier', 'HardDistillation', 'SoftDistillation', 'Teacher']
