"""Teacher-student training; needs mmpretrain."""
from .classifier import DistilledClassifier
from .hooks import DistillationScheduleHook, TeacherCheckHook, TeacherTimeHook
from .losses import HardDistillation, SoftDistillation
from .teacher import Teacher

__all__ = ['DistillationScheduleHook', 'DistilledClassifier', 'HardDistillation',
           'SoftDistillation', 'Teacher', 'TeacherCheckHook', 'TeacherTimeHook']
