"""Models and data sets within others."""
from collections.abc import Iterator
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper


def unwrap(model: Any) -> Any:
    """The model without what DDP, or test-time augmentation, puts around it."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def data_sets(dataset: Any) -> Iterator[Any]:
    """The config of a data set, if there is one, and of those that it wraps or joins."""
    if dataset is not None:
        yield dataset
        for inner in (dataset.get('dataset'), *dataset.get('datasets', ())):
            yield from data_sets(inner)
