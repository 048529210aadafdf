"""The published sizes."""
import pytest
import torch
from torch import nn

from vit_plugin.backbones import DeiT, DistilledDeiT, SwinTransformer


def millions(*modules: nn.Module) -> float:
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


# DeiT, table 1 and its model zoo; Swin, tables 1 and 5. All with the 1000-class head.
@pytest.mark.parametrize(('arch', 'published'), [('tiny', 5.72), ('small', 22.05), ('base', 86.57)])
def test_deit(arch: str, published: float) -> None:
    with torch.device('meta'):
        backbone = DeiT(arch)
        head = nn.Linear(backbone.embed_dims, 1000)
    assert round(millions(backbone, head), 2) == published


@pytest.mark.parametrize(('arch', 'published'), [('tiny', 5.91), ('small', 22.44), ('base', 87.34)])
def test_distilled_deit(arch: str, published: float) -> None:
    with torch.device('meta'):
        backbone = DistilledDeiT(arch)
        heads = [nn.Linear(backbone.embed_dims, 1000) for _ in range(2)]
    assert round(millions(backbone, *heads), 2) == published


@pytest.mark.parametrize(('arch', 'published'),
                         [('tiny', 28.3), ('small', 49.6), ('base', 87.8), ('large', 196.5)])
def test_swin(arch: str, published: float) -> None:
    with torch.device('meta'):
        backbone = SwinTransformer(arch, out_indices=3)
        head = nn.Linear(backbone.num_features[-1], 1000)
    assert round(millions(backbone, head), 1) == published
