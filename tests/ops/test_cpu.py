"""Attention in windows on the CPU, in groups, is the reference's in value and gradients."""
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from vit_plugin.ops import attention, choose, pad_to_windows, window_attention
from vit_plugin.ops.attention import fused_attention
from vit_plugin.ops.cpu import attention as cpu
from vit_plugin.ops.cpu.attention import GroupedAttention
from vit_plugin.ops.cpu.products import TOKENS
from vit_plugin.ops.cpu.window_groups import map_windows, window_groups
from vit_plugin.ops.windows import kept_shift_mask

# (batch, height, width): more than a group, padded, fewer tokens than a window, several maps in a
# group, padding that the shift brings into the window before the last.
SIZES = [(1, 49, 49), (3, 50, 43), (2, 4, 60), (1, 7, 5), (5, 14, 14), (2, 8, 8)]
WINDOW = (7, 7)
attend = GroupedAttention.apply


def plain(qkv: Tensor, bias: Tensor, window: tuple[int, int], shift: tuple[int, int],
          scale: float | None, **ways: Callable[..., Tensor]) -> Tensor:
    """The reference, of queries, keys and values."""
    return window_attention(qkv, nn.Identity(), nn.Identity(), bias, window, shift, scale, **ways)


def inputs_of(size: tuple[int, int, int], dtype: torch.dtype = torch.float32,
              window: tuple[int, int] = WINDOW) -> list[Tensor]:
    """qkv of whole windows, bias."""
    torch.manual_seed(0)
    n = window[0] * window[1]
    qkv = pad_to_windows(torch.randn(*size, 24, dtype=dtype), window).requires_grad_()
    return [qkv, torch.randn(2, n, n, dtype=dtype, requires_grad=True)]


@pytest.mark.parametrize('shift', [(0, 0), (3, 3), (0, 2)], ids=str)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_equals_the_reference(size: tuple[int, int, int], shift: tuple[int, int]) -> None:
    inputs = inputs_of(size)
    for scale in (None, 0.5):
        expected = plain(*inputs, WINDOW, shift, scale)
        found = attend(*inputs, WINDOW, shift, scale)
        torch.testing.assert_close(found, expected)
        weights = torch.randn(expected.shape)
        for a, b in zip(*(torch.autograd.grad((out * weights).sum(), inputs)
                          for out in (found, expected))):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shift', [(0, 0), (3, 3), (0, 2)], ids=str)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_inference_equals_the_reference(size: tuple[int, int, int], shift: tuple[int, int],
                                        bias: bool) -> None:
    torch.manual_seed(0)
    x, table = torch.randn(*size, 8), torch.randn(2, 49, 49)
    qkv, proj = nn.Linear(8, 24, bias), nn.Linear(8, 8)
    with torch.no_grad():
        expected, found = (way(x, qkv, proj, table, WINDOW, shift)
                           for way in (window_attention, cpu.window_attention))
    torch.testing.assert_close(found, expected)


def test_gradients_and_theirs() -> None:
    inputs = inputs_of((1, 5, 3), torch.float64, (2, 2))
    assert gradcheck(attend, (*inputs, (2, 2), (1, 1), None))
    assert gradgradcheck(attend, (*inputs, (2, 2), (1, 1), None))


def test_bfloat16_gradients_are_computed_in_float32() -> None:
    inputs = inputs_of((2, 8, 8), torch.bfloat16)
    found = torch.autograd.grad(attend(*inputs, WINDOW, (3, 3), None).sum(), inputs)
    precise = [x.detach().float().requires_grad_() for x in inputs]
    expected = torch.autograd.grad(attend(*precise, WINDOW, (3, 3), None).sum(), precise)
    for a, b in zip(found, expected):
        assert a.dtype == torch.bfloat16
        assert (a - b).abs().max() <= 2e-2 * b.abs().max()


@pytest.mark.parametrize('shift', [(0, 0), (3, 3)])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_every_token_is_in_one_window(size: tuple[int, int, int], shift: tuple[int, int]) -> None:
    numbers = torch.arange(size[0] * size[1] * size[2])
    found = [numbers[part][group.numbers()]
             for part, group in window_groups(size[0], size[1:], WINDOW, shift)]
    assert torch.cat(found).sort().values.equal(numbers)
    assert max(map(len, found)) <= TOKENS


def test_what_is_kept_does_not_grow_with_the_batch() -> None:
    """Batch 64 of 96x96 maps in windows of 12: 324 MiB were kept before."""
    map_windows.cache_clear()
    for batch in (1, 64):
        list(window_groups(batch, (96, 96), (12, 12), (6, 6)))
    assert map_windows.cache_info().currsize == 1
    kept = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
            for _, group in map_windows((96, 96), (12, 12), (6, 6))
            for x in (group.tokens, group.kinds, group.masks, group.inside) if x is not None}
    assert sum(kept.values()) <= 2**20


def test_what_inference_keeps_serves_training() -> None:
    """Tensors made in inference mode cannot be saved for a backward pass."""
    map_windows.cache_clear()
    kept_shift_mask.cache_clear()
    inputs = inputs_of((2, 8, 8))
    kept = partial(plain, attention=fused_attention, mask=kept_shift_mask)
    for way in (attend, kept):
        with torch.inference_mode():
            way(*inputs, WINDOW, (3, 3), None)
        way(*inputs, WINDOW, (3, 3), None).sum().backward()


@pytest.mark.parametrize('bias', [True, False])
def test_bfloat16_by_products_equals_the_fused_operator(bias: bool) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 4, 2, 50, 8).bfloat16()
    added = torch.randn(1, 2, 50, 50).bfloat16() if bias else None
    found = cpu.attention(q, k, v, added, 0.3)
    expected = fused_attention(q.double(), k.double(), v.double(), added, 0.3)
    torch.testing.assert_close(found.double(), expected, rtol=0.02, atol=0.02)


def test_bfloat16_by_products_where_the_cpu_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    q = torch.randn(1, 2, 50, 8)
    with torch.no_grad():
        monkeypatch.setattr(cpu, 'multiplies_bfloat16', lambda: False)
        assert choose(attention, q.bfloat16()) is fused_attention
        monkeypatch.setattr(cpu, 'multiplies_bfloat16', lambda: True)
        assert choose(attention, q.bfloat16()) is cpu.attention
        for other in (q, q.half(), torch.zeros(1, 2, 1601, 8).bfloat16()):
            assert choose(attention, other) is fused_attention
