"""Models within others."""
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper


def unwrap(model: Any) -> Any:
    """The model without what DDP, or test-time augmentation, puts around it."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
