"""Teacher-student training of any model; `classifier` needs mmpretrain."""
from .any_model import distilled
from .feature_losses import FeatureDistillation
from .hooks import DistillationScheduleHook, TeacherCheckHook, TeacherTimeHook
from .losses import Distillation, HardDistillation, ScoreDistillation, SoftDistillation
from .map_losses import CWD, MGD, PKD, PixelDistillation
from .model import DistilledModel
from .score_losses import DIST, DKD, StandardisedDistillation
from .similarity_losses import LocalSimilarityDistillation, SimilarityDistillation
from .stored_outputs import StoredOutputs
from .teacher import Teacher

__all__ = ['CWD', 'DIST', 'DKD', 'MGD', 'PKD', 'Distillation', 'DistillationScheduleHook',
           'DistilledModel', 'FeatureDistillation', 'HardDistillation',
           'LocalSimilarityDistillation', 'PixelDistillation', 'ScoreDistillation',
           'SimilarityDistillation', 'SoftDistillation', 'StandardisedDistillation',
           'StoredOutputs', 'Teacher', 'TeacherCheckHook', 'TeacherTimeHook', 'distilled']
