"""Mixed precision on any device."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from vit_plugin.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """mmengine's ``OptimWrapper`` with bfloat16 autocast, also on the CPU.

    bfloat16 has float32's range, so no loss scaling is needed. mmengine 0.10's
    ``AmpOptimWrapper`` refuses to be built without a GPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the model in mixed precision."""
        with super().optim_context(model), torch.autocast(get_device(), torch.bfloat16):
            yield
