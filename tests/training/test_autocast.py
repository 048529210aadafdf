"""bfloat16 autocast where mmengine's wrapper refuses: without a GPU."""
import pytest
import torch
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper
from torch import nn


@pytest.mark.skipif(torch.cuda.is_available(), reason='mmengine refuses without a GPU only')
def test_mmengines_refuses() -> None:
    with pytest.raises(AssertionError, match='only available'):
        AmpOptimWrapper(optimizer=None)


def test_forward_in_bfloat16_update_in_float32() -> None:
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    wrapper = build_optim_wrapper(model, dict(
        type='vit_plugin.AutocastOptimWrapper', accumulative_counts=2,
        optimizer=dict(type='SGD', lr=0.1)))
    wrapper.initialize_count_status(model, 0, 4)
    for step in range(2):
        with wrapper.optim_context(model):
            scores = model(torch.ones(3, 4))
        assert scores.dtype == torch.bfloat16
        wrapper.update_params(scores.float().sum())
        assert torch.equal(model.weight, before) == (step == 0)  # the wrapper's own rules hold
    assert model(torch.ones(3, 4)).dtype == model.weight.dtype == torch.float32
    # d(sum)/d(weight) is 3 each time; halved and summed by the accumulation
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * 3)
