"""Windows against definitions written out token by token."""
import pytest
import torch

from vit_plugin.layers.window_attention import relative_position_index
from vit_plugin.ops import pad_to_windows, roll, shift_mask, window_partition, window_reverse


@pytest.mark.parametrize(('size', 'window'), [((6, 9), (3, 3)), ((4, 9), (2, 3)), ((5, 7), (5, 7))])
def test_partition_and_merge(size: tuple[int, int], window: tuple[int, int]) -> None:
    x = torch.arange(2. * size[0] * size[1] * 3).reshape(2, *size, 3)
    windows = window_partition(x, window)
    columns = size[1] // window[1]
    for row in range(size[0]):
        for column in range(size[1]):
            index = row // window[0] * columns + column // window[1]
            token = row % window[0] * window[1] + column % window[1]
            assert torch.equal(windows[:, index, token], x[:, row, column])
    assert torch.equal(window_reverse(windows, window, size), x)


def test_pad_adds_zeros_at_bottom_and_right_only_where_needed() -> None:
    x = torch.randn(1, 5, 8, 2)
    padded = pad_to_windows(x, (3, 4))
    assert padded.shape == (1, 6, 8, 2)
    assert torch.equal(padded[:, :5], x)
    assert not padded[:, 5:].any()
    assert pad_to_windows(padded, (3, 4)) is padded


@pytest.mark.parametrize('shift', [(0, 0), (2, -3)])
def test_roll_by_tensors(shift: tuple[int, int]) -> None:
    x = torch.randn(2, 5, 8, 3)
    expected = x.roll(shift, dims=(1, 2))
    assert torch.equal(roll(x, shift), expected)
    assert torch.equal(roll(x, (torch.tensor(shift[0]), torch.tensor(shift[1]))), expected)


@pytest.mark.parametrize(('size', 'window', 'shift'),
                         [((8, 12), (4, 4), (2, 2)), ((6, 9), (3, 3), (1, 1)),
                          ((4, 4), (4, 4), (2, 2))])
def test_mask_separates_tokens_that_are_no_neighbours(
        size: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]) -> None:
    rows = torch.arange(size[0]).roll(-shift[0])[:, None].expand(size)
    columns = torch.arange(size[1]).roll(-shift[1])[None, :].expand(size)
    places = window_partition(torch.stack((rows, columns), -1)[None], window)[0]
    mask = shift_mask(size, window, shift)
    for tokens, allowed in zip(places, mask == 0):
        # Only rolling brings a token of the first `shift` rows or columns beside one of the rest.
        wrapped = tokens < torch.tensor(shift)
        last = (tokens >= torch.tensor(size) - torch.tensor(window) + torch.tensor(shift)) | wrapped
        parted = (wrapped[:, None] != wrapped[None, :]) & last[:, None] & last[None, :]
        assert torch.equal(~allowed, parted.any(-1))


def test_masked_weights_are_zero_and_never_denormal() -> None:
    torch.manual_seed(0)
    mask = shift_mask((14, 14), (7, 7), (3, 3))
    scores = 80 * torch.rand(mask.shape) - 40
    weights = (scores + mask).softmax(-1)
    expected = scores.masked_fill(mask < 0, -torch.inf).softmax(-1)
    assert torch.equal(weights[mask < 0], torch.zeros(int((mask < 0).sum())))
    torch.testing.assert_close(weights, expected)


def test_relative_position_index_counts_offsets() -> None:
    height, width = 3, 4
    index = relative_position_index((height, width))
    for i in range(height * width):
        for j in range(height * width):
            dy, dx = i // width - j // width, i % width - j % width
            assert index[i, j] == (dy + height - 1) * (2 * width - 1) + dx + width - 1
