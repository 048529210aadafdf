"""Whether the data fit the model."""
import re
from typing import Any

from mmengine.runner import EpochBasedTrainLoop, Runner

from vit_plugin.errors import UserError

from .classes import check_folder_names, classes_of
from .labels import LabelCheckHook

# The modules of a model whose ``num_classes`` is the number of the data's classes.
HEADS = re.compile(r'(^|\.)((bbox_|mask_|decode_|auxiliary_)?head(\.\d+)?|data_preprocessor)$')


def check_data(runner: Runner, *splits: str) -> None:
    """Raise `UserError` if the data have other classes than the model, or are less than a batch."""
    # in a config without the hook, as one of mmseg's own is
    look_at_labels = runner.cfg.get('default_scope') == 'mmseg' \
        and not any(isinstance(hook, LabelCheckHook) for hook in runner.hooks)
    for split in splits:
        loader = getattr(getattr(runner, f'{split}_loop'), 'dataloader', None)
        if loader is not None:
            check_classes(runner, split, loader.dataset)
            if look_at_labels:
                LabelCheckHook().check(loader.dataset)
    if splits[0] == 'train' and isinstance(runner.train_loop, EpochBasedTrainLoop) \
            and not len(runner.train_dataloader):
        loader = runner.train_dataloader
        raise UserError(
            f'the training data have {len(loader.dataset)} images, fewer than a batch '
            f'({loader.batch_sampler.batch_size} per process), and drop_last=True drops a '
            'smaller one, so that there is nothing to train on. Take a smaller batch: '
            '--cfg-options train_dataloader.batch_size=N.')


def check_classes(runner: Runner, split: str, dataset: Any) -> None:
    """Raise `UserError` if a head has fewer outputs than classes, or if the splits' classes differ.

    More outputs than classes only get a warning: pretrained heads may have them.
    """
    check_folder_names(dataset)
    classes = classes_of(dataset)
    if split == 'val':
        trained = classes_of(runner.train_dataloader.dataset)
        if classes and trained and classes != trained:
            only = {'train': set(trained) - set(classes), 'val': set(classes) - set(trained)}
            raise UserError(
                'training and validation data have different classes, so that their '
                f'labels mean different things: only in train {sorted(only["train"])[:10]}, '
                f'only in val {sorted(only["val"])[:10]}, or in another order. Give both the '
                'same, in the same order.')
    heads = {name.removeprefix('module.'): module.num_classes
             for name, module in runner.model.named_modules()
             if HEADS.search(name)
             and (getattr(module, 'num_classes', None) or 1) > 1  # 1: class-agnostic, or depth
             and getattr(module, 'to_onehot', True)}  # else a preprocessor does not use it
    wrong = {name: count for name, count in heads.items() if classes and count != len(classes)}
    if wrong:
        counts = ', '.join(f'{name} {count}' for name, count in wrong.items())
        options = ' '.join(f'{"" if name == "data_preprocessor" else "model."}{name}.num_classes='
                           f'{len(classes)}' for name in wrong)
        message = (f'the data of {split}_dataloader have {len(classes)} classes, but the model has '
                   f'another number: {counts}. To set it: --cfg-options {options}')
        mixed = 'data_preprocessor' in heads and len(set(heads.values())) > 1
        if min(wrong.values()) < len(classes) or mixed:
            raise UserError(message)
        runner.logger.warning(message)
