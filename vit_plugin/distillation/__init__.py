"""Teacher-student training of any model; `classifier` needs mmpretrain."""
from .distilled import DistilledModel
from .feature_losses import FeatureDistillation
from .frozen import Teacher
from .hooks import DistillationScheduleHook, TeacherCheckHook, TeacherTimeHook
from .losses import Distillation, HardDistillation, ScoreDistillation, SoftDistillation
from .map_losses import CWD, MGD, PKD, PixelDistillation
from .score_losses import DIST, DKD, StandardisedDistillation
from .stored import StoredOutputs

__all__ = ['CWD', 'DIST', 'DKD', 'MGD', 'PKD', 'Distillation', 'DistillationScheduleHook',
           'DistilledModel', 'FeatureDistillation', 'HardDistillation', 'PixelDistillation',
           'ScoreDistillation', 'SoftDistillation', 'StandardisedDistillation', 'StoredOutputs',
           'Teacher', 'TeacherCheckHook', 'TeacherTimeHook']
