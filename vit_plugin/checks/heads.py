"""Numbers of classes: the outputs of a model's heads against the classes of the data."""
import logging
import re
from collections.abc import Sequence

from torch import nn

from .findings import Finding

# The modules of a model whose ``num_classes`` is the number of the data's classes.
HEADS = re.compile(r'(^|\.)((bbox_|mask_|decode_|auxiliary_)?head(\.\d+)?|data_preprocessor)$')


def check_heads(model: nn.Module, classes: Sequence[str], split: str) -> list[Finding]:
    """Error where a head has fewer outputs than there are classes.

    More outputs only get a warning: pretrained heads may have them. Labels that the preprocessor
    makes one-hot must have as many as the heads.
    """
    heads = counts_of(model)
    wrong = {name: count for name, count in heads.items() if classes and count != len(classes)}
    if not wrong:
        return []
    counts = ', '.join(f'{name} {count}' for name, count in wrong.items())
    options = ' '.join(f'{setting_of(name)}.num_classes={len(classes)}' for name in wrong)
    message = (f'the data of {split}_dataloader have {len(classes)} classes, but the model has '
               f'another number: {counts}. To set it: --cfg-options {options}')
    mixed = 'data_preprocessor' in heads and len(set(heads.values())) > 1
    if min(wrong.values()) < len(classes) or mixed:
        return [Finding(message)]
    return [Finding(message, logging.WARNING)]


def counts_of(model: nn.Module) -> dict[str, int]:
    """Name of each head, and of a preprocessor that makes labels one-hot -> ``num_classes``."""
    counts = {}
    for name, module in model.named_modules():
        count = getattr(module, 'num_classes', None) or 1
        is_used = getattr(module, 'to_onehot', True)  # else a preprocessor does not use it
        if HEADS.search(name) and is_used and count > 1:  # 1: class-agnostic, or depth
            counts[name.removeprefix('module.')] = count
    return counts


def setting_of(module: str) -> str:
    """Place of a module's settings in the config."""
    return module if module == 'data_preprocessor' else f'model.{module}'
