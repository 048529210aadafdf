"""Teacher-student training; needs mmpretrain."""
from .classifier import DistilledClassifier
from .hooks import DistillationScheduleHook, TeacherCheckHook, TeacherTimeHook
from .losses import HardDistillation, SoftDistillation
from .stored import StoredScores
from .teacher import Teacher

__all__ = ['DistillationScheduleHook', 'DistilledClassifier', 'HardDistillation',
           'SoftDistillation', 'StoredScores', 'Teacher', 'TeacherCheckHook', 'TeacherTimeHook']
