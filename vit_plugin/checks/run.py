"""All checks of a run, in their order: a new one gets its line here."""
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import Dataset

from vit_plugin.toolkits import unwrap

from .annotation_lists import check_annotation_lists
from .batches import check_batch_size, check_compared_images
from .classes import check_checkpoint_classes, check_folder_names, check_splits
from .evaluator import check_evaluator, check_top_k
from .findings import Finding
from .heads import check_heads, counts_of, level_of_names
from .label_maps import check_label_maps
from .resuming import check_resumed_optimizer, check_resumed_schedule
from .samples import check_samples
from .settings import check_schedule, check_settings
from .weights import check_finite_weights, check_optimizer_state, check_weights


def check_config(cfg: Config, stage: str) -> Iterator[Finding]:
    """Settings, and files that they name, before the data sets are built."""
    if stage == 'train':
        yield from check_settings(cfg)
    yield from check_annotation_lists(cfg)


def check_run(runner: Runner, stage: str, label_maps: bool = True) -> Iterator[Finding]:
    """Schedule, data and model of a run, before its first iteration.

    Args:
        runner: The run.
        stage: ``'train'``, ``'val'`` or ``'test'``. Training checks the data for validation, too.
        label_maps: False if another hook reads them.
    """
    datasets = data_of(runner, 'train', 'val') if stage == 'train' else data_of(runner, stage)
    if stage == 'train':
        yield from check_schedule(runner.cfg, runner.max_epochs, runner.max_iters)
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            yield from check_batch_size(runner.train_dataloader)
        yield from check_compared_images(runner.train_dataloader, unwrap(runner.model))
        if 'val' in datasets:
            level = level_of_names(runner.model)
            yield from check_splits(datasets['train'], datasets['val'], level)
    for split, dataset in datasets.items():
        yield from check_folder_names(dataset)
        yield from check_heads(runner.model, dataset, split)
        for metric in metrics_of(runner, split):
            yield from check_evaluator(metric, dataset)
            yield from check_top_k(metric, counts_of(runner.model).get('head', 0))
        yield from check_samples(dataset, runner.model, split)
        if label_maps and runner.cfg.get('default_scope') == 'mmseg':
            yield from check_label_maps(dataset)


def check_loaded(runner: Runner, checkpoint: dict) -> Iterator[Finding]:
    """The checkpoint that a run has read, before mmengine copies its weights."""
    stage = stage_of(runner)
    is_resumed = stage == 'train' and bool(runner.cfg.get('resume'))
    goes_on = stage != 'train' or is_resumed
    dataset = getattr(runner, f'{stage}_dataloader').dataset
    level = level_of_names(runner.model)
    yield from check_checkpoint_classes(checkpoint, dataset, goes_on, level)
    if is_resumed:
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        yield from check_optimizer_state(optimizer, checkpoint)
        yield from check_resumed_optimizer(optimizer, checkpoint)
        lengths = {True: runner.max_epochs, False: runner.max_iters}
        yield from check_resumed_schedule(runner.param_schedulers, checkpoint, lengths)
    path = runner.cfg.get('load_from') or 'of this work dir'
    not_finite = check_finite_weights(runner.model, checkpoint, path)
    yield from not_finite
    if goes_on and not not_finite:
        yield from check_weights(runner.model, checkpoint, path)


def data_of(runner: Runner, *splits: str) -> dict[str, Dataset]:
    """Split -> its data set, of those that the run has."""
    found = {}
    for split in splits:
        loop = getattr(runner, f'{split}_loop')
        if loop is not None and loop.dataloader is not None:
            found[split] = loop.dataloader.dataset
    return found


def metrics_of(runner: Runner, split: str) -> list[BaseMetric]:
    """The metrics of a split; none for training."""
    evaluator = getattr(getattr(runner, f'{split}_loop'), 'evaluator', None)
    return getattr(evaluator, 'metrics', None) or []


def stage_of(runner: Runner) -> str:
    """``'train'``, ``'val'`` or ``'test'``: the runner builds an optimizer for training alone."""
    if isinstance(runner.optim_wrapper, OptimWrapper):
        return 'train'
    return 'test' if isinstance(runner._test_loop, BaseLoop) else 'val'
