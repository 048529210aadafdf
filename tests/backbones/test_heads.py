"""Heads: keys, predictions and errors against mmpretrain's."""
import mmpretrain.models
import pytest
import torch
from mmpretrain.structures import DataSample

from vit_plugin.backbones.heads import DeiTHead, DistilledDeiTHead

TOKENS = tuple(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize('hidden_dim', [None, 16])
def test_distilled_head_equals_mmpretrains(hidden_dim: int | None) -> None:
    stock = mmpretrain.models.DeiTClsHead(5, 8, hidden_dim=hidden_dim).eval()
    ours = DistilledDeiTHead(5, 8, hidden_dim=hidden_dim).eval()
    ours.init_weights()
    stock.load_state_dict(ours.state_dict(), strict=True)
    assert torch.allclose(stock((TOKENS,)), ours((TOKENS,)))
    cls_score, dist_score = ours.token_scores((TOKENS,))
    assert torch.allclose((cls_score + dist_score) / 2, ours((TOKENS,)))


def test_head_equals_mmpretrains() -> None:
    stock, ours = mmpretrain.models.VisionTransformerClsHead(5, 8), DeiTHead(5, 8)
    ours.init_weights()
    assert 0 < ours.layers.head.weight.std() < 0.04
    stock.load_state_dict(ours.state_dict(), strict=True)
    samples = [DataSample().set_gt_label(i) for i in range(3)]
    assert stock.loss((TOKENS[0],), samples)['loss'] == ours.loss((TOKENS[0],), samples)['loss']


def test_training_without_teacher_is_refused() -> None:
    # mmpretrain's DeiTClsHead warns and trains the averaged scores on the labels
    head = DistilledDeiTHead(5, 8)
    with pytest.raises(ValueError, match='DistilledClassifier'):
        head.loss((TOKENS,), [DataSample().set_gt_label(0)] * 3)


def test_single_token_is_refused() -> None:
    with pytest.raises(ValueError, match='DistilledDeiT'):
        DistilledDeiTHead(5, 8)((TOKENS[0],))
