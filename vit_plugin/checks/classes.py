"""Names of classes: the same label must mean the same to checkpoint, data and folders."""
import logging
from collections.abc import Sequence

from torch.utils.data import Dataset

from vit_plugin.errors import shorten
from vit_plugin.toolkits import data_sets

from .findings import Finding


def classes_of(dataset: Dataset) -> list[str]:
    """Names of a data set's classes; empty where it has none."""
    return list(getattr(dataset, 'metainfo', {}).get('classes') or ())


def classes_in(checkpoint: dict) -> list[str]:
    """Names of the classes that a checkpoint was trained on; empty where it does not tell."""
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict):
        return []
    found = {key.lower(): value for key, value in (meta.get('dataset_meta') or meta).items()}
    classes = found.get('classes') or ()  # in capitals before OpenMMLab 2
    return [] if isinstance(classes, str) else list(classes)


def check_folder_names(dataset: Dataset) -> list[Finding]:
    """Error where ``metainfo`` names the classes of image folders in another order than theirs.

    mmpretrain's data sets label images by the sorted folders, whatever names ``metainfo`` has.
    """
    findings = []
    for part in data_sets(dataset):
        folders = list(getattr(part, 'folder_to_idx', None) or ())
        classes = classes_of(part)
        if set(folders) & set(classes) and folders != classes:
            findings.append(Finding(
                'metainfo=dict(classes=...) names other classes than the folders, whose order is '
                f'that of the labels: metainfo has {listed(classes)}, the folders are '
                f'{listed(folders)}. Leave metainfo out, or give the names in the order of the '
                'folders'))
    return findings


def check_splits(train: Dataset, val: Dataset, level: int = logging.ERROR) -> list[Finding]:
    """Finding where a label means another class in training than in validation.

    One may lack the last classes of the other. ``level`` is that of the finding; NOTSET for none.
    """
    trained, classes = classes_of(train), classes_of(val)
    shared = min(len(trained), len(classes))
    if not level or trained[:shared] == classes[:shared]:
        return []
    only_train = sorted(set(trained) - set(classes))
    only_val = sorted(set(classes) - set(trained))
    return [Finding(
        'training and validation data have different classes, so that their labels mean different '
        f'things: only in train {only_train[:10]}, only in val {only_val[:10]}, or in another '
        'order. Give both the same, in the same order', level)]


def check_checkpoint_classes(checkpoint: dict, dataset: Dataset,
                             goes_on: bool, level: int = logging.ERROR) -> list[Finding]:
    """Compare the names of the classes of a checkpoint with those of the data.

    Data may lack the last classes of the checkpoint. Without names on one side nothing is compared.

    Args:
        checkpoint: Content of the checkpoint.
        dataset: The data that the run trains or tests with.
        goes_on: True for a test and a resumed training, where other classes are an error. False
            for one that starts from the weights, with a warning where a head fits by its size.
        level: Level of the error; NOTSET compares nothing.
    """
    trained, classes = classes_in(checkpoint), classes_of(dataset)
    lists = difference(trained, classes)
    if not level or not lists:
        return []
    if goes_on:
        return [Finding(
            "the checkpoint was trained on other classes than the data's, so that labels mean "
            f'different things: {lists}. Give the data the same classes, in the same order', level)]
    weights = checkpoint.get('state_dict', checkpoint)
    if len(trained) == len(classes) and any('head' in key for key in weights):
        return [Finding(
            f'load_from: the head fits, but was trained on other classes: {lists}. Its weights '
            'start from those of another class where names differ.', logging.WARNING)]
    return []


def difference(trained: Sequence[str], classes: Sequence[str]) -> str | None:
    """The names of a checkpoint's classes and the data's, if these are not the first of those."""
    if not trained or list(trained[:len(classes)]) == list(classes):
        return None
    return (f'the checkpoint has {listed(trained)}, the data have {listed(classes)}'
            f'{first_difference(trained, classes)}')


def listed(names: Sequence[str]) -> str:
    """The first names as Python writes them."""
    return f'[{shorten(map(repr, names), 10)}]'


def first_difference(trained: Sequence[str], classes: Sequence[str]) -> str:
    """The first place where the names differ, if the lists are long."""
    for i, (one, other) in enumerate(zip(trained, classes)):
        if one != other and i >= 10:
            return f' (class {i} is {one!r} there, {other!r} here)'
    return ''
