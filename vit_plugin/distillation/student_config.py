"""A student without its teachers."""
from typing import Any

# What a distilled model takes beside the arguments of its student.
ARGUMENTS = ('teacher', 'distillation', 'labels')


def without_teachers(model: dict[str, Any]) -> dict[str, Any]:
    """The config of the plain student; of a model that has no teacher, its own.

    It takes the same checkpoints, and predicts the same. A model for test-time augmentation is
    looked into.
    """
    if isinstance(model.get('module'), dict):
        return dict(model, module=without_teachers(model['module']))
    kind = model.get('type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    if name in ('vit_plugin.Distilled', 'Distilled', 'distilled'):
        kind = model['student_type']
    elif name in ('vit_plugin.DistilledClassifier', 'DistilledClassifier'):
        kind = 'mmpretrain.ImageClassifier'
    else:
        return model
    plain = {key: value for key, value in model.items()
             if key not in (*ARGUMENTS, 'student_type')}
    return dict(plain, type=kind)
