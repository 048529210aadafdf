"""The runtimes of exported models are timed in processes of their own."""
import pytest
import torch
from torch import nn

from tests.conftest import needs
from vit_plugin.benchmark.runtimes import measure_runtimes

pytestmark = pytest.mark.slow


def test_both_run_the_exported_model() -> None:
    needs('onnx', 'onnxscript', 'onnxruntime', 'openvino')
    x = torch.randn(2, 3, 16, 24)
    taken = measure_runtimes(nn.Conv2d(3, 4, 3).eval(), x, torch.float32, rounds=3)
    assert list(taken) == ['OpenVINO', 'ONNX Runtime']
    for values in taken.values():
        assert len(values) == 3
        assert min(values) > 0
