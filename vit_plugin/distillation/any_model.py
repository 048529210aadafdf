"""`vit_plugin.Distilled`: any model of the toolkits with teachers, by the name of its class."""
from functools import cache
from typing import Any

from mmengine.model import BaseModel

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS
from vit_plugin.toolkits import TOOLKITS

from .model import DistilledModel


@MODELS.register_module(name='Distilled')
def distilled(student_type: str | type | None = None, **kwargs: object) -> DistilledModel:
    """Build any model of mmpretrain, mmdet or mmseg with teachers: `DistilledModel`.

    Args:
        student_type: The ``type`` of the model without distillation, e.g. ``'MaskRCNN'``.
        **kwargs: Those of the student, and of `DistilledModel`.
    """
    if student_type is None:
        raise UserError("vit_plugin.Distilled needs student_type='...', what the type of the model "
                        "would be without a teacher, e.g. 'MaskRCNN'")
    kind: object = student_type
    if isinstance(student_type, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            kind = registry.get(student_type)
    if not isinstance(kind, type) or not issubclass(kind, BaseModel):
        raise UserError(f'student_type={student_type!r} is no model of mmpretrain, mmdet or mmseg; '
                        "outside of a run, or in one of another toolkit, it needs its own in "
                        "front, e.g. 'mmdet.MaskRCNN'")
    return distilled_class(kind)(**kwargs)


@cache
def distilled_class(kind: type) -> type:
    """A model's class with `DistilledModel`."""
    toolkit = kind.__module__.split('.')[0]
    members = dict(scope=toolkit if toolkit in TOOLKITS else None, __module__=__name__,
                   __reduce__=lambda self: (new_distilled, (kind,), self.__dict__))
    return type(f'Distilled{kind.__name__}', (DistilledModel, kind), members)


def new_distilled(kind: type) -> DistilledModel:
    """A model without state, for `pickle`, which does not find the class by a name."""
    cls: Any = distilled_class(kind)
    return cls.__new__(cls)
