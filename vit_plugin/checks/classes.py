"""Whether a label means the same class to a checkpoint, to the data and to the model."""
from collections.abc import Sequence
from typing import Any

from mmengine.runner import Runner

from vit_plugin.errors import UserError, shorten
from vit_plugin.toolkits import data_sets


def classes_of(dataset: Any) -> list[str]:
    """The names of a data set's classes; empty where it has none."""
    return list(getattr(dataset, 'metainfo', {}).get('classes') or ())


def classes_in(checkpoint: dict[str, Any]) -> list[str]:
    """The names of the classes that a checkpoint was trained on; empty where it does not tell."""
    meta = checkpoint.get('meta') or {}
    found = {key.lower(): value for key, value in (meta.get('dataset_meta') or meta).items()}
    classes = found.get('classes') or ()  # in capitals before OpenMMLab 2
    return [] if isinstance(classes, str) else list(classes)


def check_folder_names(dataset: Any) -> None:
    """Raise unless the names that a config gives folders of images are in the folders' order.

    mmpretrain's data sets label images by the sorted folders, whatever names ``metainfo`` has.

    Raises:
        UserError: some names are folders', but not in their places.
    """
    for part in data_sets(dataset):
        folders = list(getattr(part, 'folder_to_idx', None) or ())
        classes = classes_of(part)
        if set(folders) & set(classes) and folders != classes:
            raise UserError(
                'metainfo=dict(classes=...) names other classes than the folders, whose order is '
                f'that of the labels: metainfo has {listed(classes)}, the folders are '
                f'{listed(folders)}. Leave metainfo out, or give the names in the order of the '
                'folders')


def compare_classes(runner: Runner, checkpoint: dict[str, Any], dataset: Any,
                    goes_on: bool) -> None:
    """Compare the names of the classes of a checkpoint with those of the data.

    Data may lack the last classes of the checkpoint. Without names on one side nothing is compared.

    Args:
        runner: The run that has loaded the checkpoint.
        checkpoint: Its content.
        dataset: The data that the run trains or tests with.
        goes_on: Whether the run tests, or is resumed. One that starts from the weights gets a
            warning where a head fits by its size alone.

    Raises:
        UserError: the run goes on, but with other classes.
    """
    trained, classes = classes_in(checkpoint), classes_of(dataset)
    if not trained or not classes or trained[:len(classes)] == classes:
        return
    lists = (f'the checkpoint has {listed(trained)}, the data have {listed(classes)}'
             f'{first_difference(trained, classes)}')
    if goes_on:
        raise UserError(
            "the checkpoint was trained on other classes than the data's, so that labels mean "
            f'different things: {lists}. Give the data the same classes, in the same order')
    if len(trained) == len(classes) and any('head' in key for key in
                                            checkpoint.get('state_dict', checkpoint)):
        runner.logger.warning(
            f'load_from: the head fits, but was trained on other classes: {lists}. Its weights '
            'start from those of another class where names differ.')


def listed(names: Sequence[str]) -> str:
    """The first names as Python writes them."""
    return f'[{shorten(map(repr, names), 10)}]'


def first_difference(trained: Sequence[str], classes: Sequence[str]) -> str:
    """The first place where the names differ, if the lists are long."""
    for i, (one, other) in enumerate(zip(trained, classes)):
        if one != other and i >= 10:
            return f' (class {i} is {one!r} there, {other!r} here)'
    return ''
