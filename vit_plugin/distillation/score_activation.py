"""Softmax or sigmoid: what the scores of student and teacher stand for."""
from torch import nn

from vit_plugin.errors import UserError

from .pairs import Matched, Pair

NAMES = {True: 'sigmoids, one for each class', False: 'a softmax over the classes'}


def needs_sigmoid(pair: Pair, matched: Matched) -> bool:
    """True if a loss over classes must take each class as a question of its own.

    Raises:
        UserError: student and teacher differ, or the loss has only the softmax.
    """
    ours, theirs = pair.student.sigmoid, pair.theirs.sigmoid
    if {ours, theirs} == {True, False}:
        raise UserError(
            f'{pair.kind.__name__} cannot compare the scores of the student, which are for '
            f'{NAMES[bool(ours)]}, with those of the teacher {pair.teacher.name}, for '
            f'{NAMES[bool(theirs)]}. If that is wrong, say sigmoid=True or False in the loss')
    single = bool(matched) and matched[0][0].shape[1:2] == (1,)
    needed = single or True in (ours, theirs)
    if needed and not pair.kind.has_sigmoid:
        scores = 'a single score' if single else NAMES[True]
        raise UserError(
            f'{pair.kind.__name__} compares {NAMES[False]}, but these outputs are {scores}: take '
            'vit_plugin.SoftDistillation or HardDistillation (of pixels, PixelDistillation), '
            'which have a form for them')
    return needed


def uses_sigmoid(model: nn.Module, path: str) -> bool | None:
    """True if the scores of a module are for sigmoids, False for a softmax, ``None`` if unknown.

    Heads on the way to the module tell: mmpretrain's of several labels, those of mmdet whose loss
    on classes says so, and Hugging Face's ``problem_type``. Single labels may be learnt by
    sigmoids, too, but are decided by the highest score.
    """
    for head in modules_on(model, path or 'head'):
        kinds = [kind.__name__ for kind in type(head).__mro__]
        loss = getattr(head, 'loss_cls', None)
        if 'MultiLabelClsHead' in kinds or getattr(loss, 'use_sigmoid', False):
            return True
        if 'ClsHead' in kinds:
            learnt_by = getattr(head, 'loss_module', None)
            return None if getattr(learnt_by, 'use_sigmoid', False) else False
    problem = getattr(getattr(getattr(model, 'model', model), 'config', None), 'problem_type', None)
    return True if problem == 'multi_label_classification' else None


def modules_on(model: nn.Module, path: str) -> list[nn.Module]:
    """The modules on the way from a model to one of its modules, as far as they exist."""
    found = [model]
    for name in path.split('.'):
        child = getattr(found[-1], name, None)
        if not isinstance(child, nn.Module):
            break
        found.append(child)
    return found
