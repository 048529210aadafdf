"""Metrics of a config's test data, by the toolkit's model and by an exported file."""
import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from vit_plugin.errors import UserError

from .answers import FILL
from .runtimes import Run

# A batch of the loader -> its data samples with predictions.
Predict = Callable[[Any], Sequence[Any]]


def predict_by_file(run: Run, task: str) -> Predict:
    """The function that a file is for batches of the config's data."""
    def predict(batch: Any) -> Sequence[Any]:
        for pixels, sample in zip(batch['inputs'], batch['data_samples']):
            image = pixels.numpy()[None, ::-1].astype(np.float32)  # loaded as BGR
            FILL[task](sample, run(image))
        return batch['data_samples']
    return predict


@torch.no_grad()
def evaluate(cfg: Config, predict: Predict) -> dict[str, float]:
    """The metrics of the config's ``test_evaluator`` on its test data, one image at a time.

    Raises:
        UserError: the config has no test data or no evaluator.
    """
    settings = cfg.get('test_dataloader')
    if settings is None or cfg.get('test_evaluator') is None:
        raise UserError('--check needs a test_dataloader and a test_evaluator in the config')
    settings = copy.deepcopy(settings)
    settings.batch_size = 1
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        loader = Runner.build_dataloader(settings, seed=0)
        evaluator = Evaluator(copy.deepcopy(cfg.test_evaluator))
        evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
        for batch in loader:
            evaluator.process(predict(batch), batch)
        return evaluator.evaluate(len(loader.dataset))
