"""Rotary positions, by their definition and their use in windows."""
import math

import pytest
import torch

from vit_plugin.layers import Attention, MaskedKeyBias, rotary_position, rotate


def test_angles_are_those_of_the_definition() -> None:
    cos, sin = rotary_position((3, 2), head_dim=8, num_tokens=1)[0].chunk(2, dim=-1)
    assert cos.shape == (1 + 3 * 2, 8)
    torch.testing.assert_close(cos[0], torch.ones(8))
    torch.testing.assert_close(sin[0], torch.zeros(8))
    for row in range(3):
        for column in range(2):
            y, x = (2 * row + 1) / 3 - 1, (2 * column + 1) / 2 - 1
            angles = [2 * math.pi * y, 2 * math.pi * y / 10, 2 * math.pi * x, 2 * math.pi * x / 10]
            expected = torch.tensor([*angles, *angles])
            torch.testing.assert_close(cos[1 + 2 * row + column], expected.cos())
            torch.testing.assert_close(sin[1 + 2 * row + column], expected.sin())


def test_rotation_is_one_of_points_in_the_plane() -> None:
    x, rotation = torch.randn(2, 3, 7, 8), rotary_position((3, 2), 8, 1)
    cos, sin = rotation[0].chunk(2, dim=-1)
    points = torch.complex(x[..., :4], x[..., 4:]) * torch.complex(cos, sin)[:, :4]
    torch.testing.assert_close(rotate(x, rotation), torch.cat((points.real, points.imag), dim=-1))


@pytest.mark.parametrize('window', [(4, 6), (2, 3)])
def test_windows_attend_as_the_patches_alone(window: tuple[int, int]) -> None:
    """Each window is what its own patches and angles give, in maps of whole windows."""
    torch.manual_seed(0)
    split, whole = Attention(16, 2, window=window), Attention(16, 2)
    whole.load_state_dict(split.state_dict())
    x, rotation = torch.randn(2, 4, 6, 16), rotary_position((4, 6), 8)
    out = split(x, rotation)
    angles = rotation.unflatten(1, (4, 6))
    for top in range(0, 4, window[0]):
        for left in range(0, 6, window[1]):
            part = (slice(None), slice(top, top + window[0]), slice(left, left + window[1]))
            expected = whole(x[part], angles[part].flatten(1, 2))
            torch.testing.assert_close(out[part], expected)


def test_keys_have_no_bias() -> None:
    layer, x = MaskedKeyBias(8, 24), torch.randn(2, 5, 8)
    torch.nn.init.normal_(layer.bias)
    q, k, v = layer(x).chunk(3, dim=-1)
    torch.testing.assert_close(k, x @ layer.weight[8:16].T)
    torch.testing.assert_close(q, x @ layer.weight[:8].T + layer.bias[:8])
    torch.testing.assert_close(v, x @ layer.weight[16:].T + layer.bias[16:])
