"""Models and data sets within others."""
from collections.abc import Iterator
from functools import partial
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper


def unwrap(model: Any) -> Any:
    """The model without what DDP, or test-time augmentation, puts around it."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def data_sets(dataset: Any) -> Iterator[Any]:
    """A data set or the config of one, if there is one, and those that it wraps or joins."""
    if dataset is not None:
        yield dataset
        part = dataset.get if isinstance(dataset, dict) else partial(getattr, dataset)
        for inner in (part('dataset', None), *(part('datasets', None) or ())):
            yield from data_sets(inner)
