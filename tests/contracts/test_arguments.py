"""Wrong arguments are refused with the argument, its value and what is allowed."""
import re
from inspect import signature
from typing import Any

import pytest
import torch
from registered import Case

SIZES = [0, -7, 2.5, 7., True, '7', (7, 0), (7, 7, 7), (7.0, 7), (7, False), None]
RATES = [-0.1, 1, 1., 1.5, True, '0.1']


def refuses(case: Case, name: str, value: Any, allowed: str) -> None:
    """Stock: bare assertions, or an error far from the cause."""
    parameters = signature(case.cls).parameters
    if name not in parameters or parameters[name].default is value:
        return
    with pytest.raises((ValueError, TypeError)) as error:
        case.build(**{name: value})
    message = str(error.value)
    assert name in message
    assert str(value) in message
    assert re.search(allowed, message), message


@pytest.mark.parametrize('value', SIZES, ids=repr)
@pytest.mark.parametrize('name', ['img_size', 'patch_size', 'window_size'])
def test_sizes(backbone: Case, name: str, value: Any) -> None:
    refuses(backbone, name, value, 'positive integer')


@pytest.mark.parametrize('value', RATES, ids=repr)
@pytest.mark.parametrize('name', ['drop_rate', 'drop_path_rate'])
def test_rates(backbone: Case, name: str, value: Any) -> None:
    refuses(backbone, name, value, re.escape('[0, 1)'))


@pytest.mark.parametrize('value', [(), 99, (0, 99), -99, (1, 0), (1, 1), (0, -99), 1.0, (0, 1.),
                                   True], ids=repr)
def test_out_indices(backbone: Case, value: Any) -> None:
    refuses(backbone, 'out_indices', value, rf'{-backbone.depth} \.\.\. {backbone.depth - 1}|rise')


@pytest.mark.parametrize('value', [-2, 99, 1.5, True, None], ids=repr)
def test_frozen_stages(backbone: Case, value: Any) -> None:
    refuses(backbone, 'frozen_stages', value, rf'-1 \.\.\. {backbone.depth}')


@pytest.mark.parametrize('value', [0, -3, 3.0, True, None], ids=repr)
def test_in_channels(backbone: Case, value: Any) -> None:
    refuses(backbone, 'in_channels', value, 'positive integer')


def test_windows_take_a_map(backbone: Case) -> None:
    if 'global_attn_indexes' in signature(backbone.cls).parameters:
        with pytest.raises(ValueError, match=r"window_size=.*needs out_type='featmap'"):
            backbone.build(out_type='cls_token', window_size=7)
        with pytest.raises(ValueError, match=r'global_attn_indexes=.*needs a window_size'):
            backbone.build(out_type='featmap', global_attn_indexes=(1,))
        with pytest.raises(ValueError, match=r'global_attn_indexes=\(0, 99\) must be integers'):
            backbone.build(out_type='featmap', window_size=7, global_attn_indexes=(0, 99))


def test_out_type(backbone: Case) -> None:
    refuses(backbone, 'out_type', 'map', 'featmap')


@pytest.mark.parametrize('value', ['enormous', 7, dict(embed_dims=8)], ids=repr)
def test_unknown_arch(backbone: Case, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match='arch') as error:
        backbone.build(arch=value)
    assert 'enormous' in str(error.value) or value != 'enormous'
    assert re.search('choose from .*base|a name or a dict|must have', str(error.value))


@pytest.mark.parametrize('value', [0, -8, 7, 8.0, True], ids=repr)
def test_embed_dims(backbone: Case, value: Any) -> None:
    """The heads of every arch here do not divide 7."""
    arch = dict(backbone.arguments['arch'], embed_dims=value)
    arch['num_heads'] = 2 if isinstance(arch['num_heads'], int) else (2, 2, 4, 8)
    with pytest.raises(ValueError, match=rf'embed_dims={value}.*(multiple|positive)'):
        backbone.build(arch=arch)


def test_kinds_of_sizes(backbone: Case) -> None:
    """A number for what each stage has, and numbers of stages for what the model has."""
    for name, size in backbone.arguments['arch'].items():
        other = 2 if isinstance(size, tuple) else (2, 2)
        with pytest.raises(ValueError, match=re.escape(f'{name}={other}')):
            backbone.build(arch=dict(backbone.arguments['arch'], **{name: other}))


@pytest.mark.parametrize('shape', [(3, 64, 64), (64, 64), (1, 3, 2, 64, 64), (1, 1, 64, 64),
                                   (1, 4, 64, 64), (1, 64, 64, 3)], ids=str)
def test_images(backbone: Case, shape: tuple[int, ...]) -> None:
    model = backbone.build()
    with pytest.raises(ValueError, match=re.escape('(B, 3, H, W)')) as error:
        model(torch.zeros(shape))
    assert str(shape) in str(error.value)
