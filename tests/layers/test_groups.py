"""Inference in groups gives what the whole map at once gives."""
import pytest
import torch

from vit_plugin.layers import FeedForward, ShiftedWindowAttention
from vit_plugin.layers.groups import TOKENS, window_groups

SIZES = [(1, 49, 49), (3, 50, 43), (2, 4, 60), (1, 7, 5), (5, 14, 14)]


@pytest.mark.parametrize('shift', [(0, 0), (3, 3)])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_attention(size: tuple[int, int, int], shift: tuple[int, int]) -> None:
    torch.manual_seed(0)
    attention = ShiftedWindowAttention(8, 2, (7, 7))
    torch.nn.init.normal_(attention.w_msa.relative_position_bias_table)
    torch.nn.init.normal_(attention.w_msa.qkv.bias)  # what padding attends with
    x = torch.randn(*size, 8)
    whole = attention(x, shift)
    with torch.no_grad():
        torch.testing.assert_close(attention(x, shift), whole)


@pytest.mark.parametrize('shift', [(0, 0), (3, 3)])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_every_token_is_in_one_window(size: tuple[int, int, int], shift: tuple[int, int]) -> None:
    groups = window_groups(size[0], size[1:], (7, 7), shift)
    tokens = torch.cat([group.tokens for group in groups])
    assert tokens.sort().values.equal(torch.arange(size[0] * size[1] * size[2]))
    assert max(len(group.tokens) for group in groups) <= TOKENS


def test_feed_forward() -> None:
    torch.manual_seed(0)
    layer = FeedForward(8, 32)
    x = torch.randn(3, 50, 43, 8)
    whole = layer(x)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), whole)
