"""Numbers of classes: the outputs of a model's heads against the classes of the data.

Only heads of the toolkits that are known to classify the data's classes can be wrong. Users' own
get a warning, and others nothing: retrieval, text-prompted detectors, boundary heads, ...
"""
import logging
import re

from torch import nn
from torch.utils.data import Dataset

from vit_plugin.toolkits import TOOLKITS, unwrap

from .classes import classes_of
from .findings import Finding

# The modules of a model whose ``num_classes`` is the number of the data's classes.
HEADS = re.compile(r'(^|\.)(bbox_|mask_|decode_|auxiliary_)?head(\.\d+)?$')
# Heads and models, and what derives from them, that classify something else.
OTHER_HEADS = {'STDCHead',  # mmseg: boundaries
               'BaseMOTModel', 'LinearReIDHead'}  # mmdet: trackers, whose data name more classes
# Attributes of models whose classes are named by text: GLIP and Grounding DINO; SAN and CLIP.
TEXT = ('language_model', 'text_encoder')
# Heads of panoptic models: stuff is numbered after the things.
PANOPTIC = ('panoptic_head', 'panoptic_fusion_head', 'semantic_head')


def check_heads(model: nn.Module, dataset: Dataset, split: str) -> list[Finding]:
    """Error where a head has fewer outputs than there are classes.

    More outputs only get a warning: pretrained heads may have them. Labels that the preprocessor
    makes one-hot must have as many as the heads.
    """
    if split != 'train' and is_retriever(model):
        return []
    heads, panoptic = counts_of(model), panoptic_heads(model)
    expected = len(classes_of(dataset))
    if expected and panoptic:  # heads for boxes and masks know the things alone
        expected = next(iter(panoptic.values()))[0]
    wrong = {name: count for name, count in heads.items() if expected and count != expected}
    findings = check_panoptic(model, dataset, split)
    if wrong:
        counts = ', '.join(f'{name} {count}' for name, count in wrong.items())
        options = ' '.join(f'{setting_of(name)}.num_classes={expected}' for name in wrong)
        message = (f'the data of {split}_dataloader have {expected} classes, but the model has '
                   f'another number: {counts}. To set it: --cfg-options {options}')
        mixed = 'data_preprocessor' in heads and len(set(heads.values())) > 1
        is_wrong = min(wrong.values()) < expected or mixed
        level = level_of(model) if is_wrong else logging.WARNING
        findings.append(Finding(message, level))
    return findings


def check_panoptic(model: nn.Module, dataset: Dataset, split: str) -> list[Finding]:
    """Error where a panoptic head has other numbers of things and stuff than the data."""
    classes, things = classes_of(dataset), thing_classes(dataset)
    findings = []
    for name, found in panoptic_heads(model).items():
        expected = (len(things), len(classes) - len(things))
        if not classes or found == expected or (not things and sum(found) == len(classes)):
            continue
        told = f'{expected[0]} things and {expected[1]} stuff' if things else len(classes)
        findings.append(Finding(
            f'the data of {split}_dataloader have {told} classes, but model.{name} has '
            f'num_things_classes={found[0]} and num_stuff_classes={found[1]}: stuff is numbered '
            'after the things, so both must be right'))
    return findings


def panoptic_heads(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Name of each panoptic head -> its numbers of things and stuff."""
    return {name: (module.num_things_classes, module.num_stuff_classes)
            for name, module in unwrap(model).named_children()
            if name in PANOPTIC and hasattr(module, 'num_things_classes')}


def thing_classes(dataset: Dataset) -> list[str]:
    """Classes of the objects in panoptic data; empty for other data, or where they contradict."""
    metainfo = getattr(dataset, 'metainfo', {})
    things = list(metainfo.get('thing_classes') or ())
    stuff = list(metainfo.get('stuff_classes') or ())
    return things if {*things, *stuff} == {*classes_of(dataset)} else []


def counts_of(model: nn.Module) -> dict[str, int]:
    """Name of each head, and of a preprocessor that makes labels one-hot -> ``num_classes``."""
    model = unwrap(model)
    if classifies_something_else(model) or any(hasattr(model, name) for name in TEXT):
        return {}
    counts = {}
    for name, module in model.named_modules():
        is_head = HEADS.search(name) and not classifies_something_else(module)
        makes_labels = name == 'data_preprocessor' and getattr(module, 'to_onehot', False)
        count = getattr(module, 'num_classes', None) or 1
        if (is_head or makes_labels) and count > 1:  # 1: class-agnostic, or depth
            counts[name] = count
    return counts


def classifies_something_else(module: nn.Module) -> bool:
    """True if the labels that a head or a model learns are not the data's classes."""
    return bool(ancestors(module) & OTHER_HEADS) or getattr(module, 'class_agnostic', False)


def is_retriever(model: nn.Module) -> bool:
    """True for mmpretrain's retrieval, tested on images of classes that it has not seen."""
    return 'BaseRetriever' in ancestors(unwrap(model))


def ancestors(module: nn.Module) -> set[str]:
    """Names of a module's class and its bases; asks no toolkit, which may be absent."""
    return {cls.__name__ for cls in type(module).__mro__}


def level_of_names(model: nn.Module) -> int:
    """Level of a finding that names of classes differ: as `level_of`, NOTSET for retrieval."""
    return logging.NOTSET if is_retriever(model) else level_of(model)


def level_of(model: nn.Module) -> int:
    """Level of a finding that classes differ: ERROR, WARNING for users' own heads, or NOTSET."""
    model = unwrap(model)
    counts = counts_of(model)
    known = [name for name in counts if is_known(model.get_submodule(name))]
    if known or panoptic_heads(model) or 'BaseClassifier' in ancestors(model):
        return logging.ERROR
    return logging.WARNING if counts else logging.NOTSET


def is_known(module: nn.Module) -> bool:
    """True for a module of the toolkits or the plugin."""
    return type(module).__module__.split('.')[0] in (*TOOLKITS, 'vit_plugin')


def setting_of(module: str) -> str:
    """Place of a module's settings in the config."""
    return module if module == 'data_preprocessor' else f'model.{module}'
