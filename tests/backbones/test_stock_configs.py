"""The toolkits' own configs, with another ``type`` of their backbone and nothing else changed."""
import json
import logging
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import mmdet.models
import mmpretrain.models
import mmseg.models
import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from stock_configs import CLASSES, Found, find
from stock_models import assert_same, rename, unused
from torch import nn

from vit_plugin.registry import MODELS

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / 'docs/stock.md'
STOCK = {'mmpretrain': mmpretrain.models, 'mmdet': mmdet.models,
         'mmseg': mmseg.models.backbones}


def shrink(found: Found) -> dict[str, Any]:
    """The backbone at the least size with the same structure, heads and options."""
    cfg = deepcopy(found.backbone)
    cfg.pop('init_cfg', None)
    cfg.update(drop_path_rate=0., **({'drop_rate': 0.} if 'drop_rate' in cfg else {}))
    cfg.pop('pretrained', None)  # a path; llava and others take it out of the backbone's dict
    stock_class = getattr(STOCK[found.owner], cfg['type'])
    arch = cfg.get('arch')
    if isinstance(arch, str):
        arch = cfg['arch'] = dict(stock_class.arch_zoo[arch])
    sizes = cfg if arch is None else arch
    if cfg['type'].startswith('SwinTransformer'):
        sizes['embed_dims'] = 4 * sizes['num_heads'][0]
        sizes['depths'] = [min(depth, 2) for depth in sizes['depths']]
        return cfg
    depth, dims = sizes['num_layers'], sizes['embed_dims']
    sizes.update(num_layers=4, embed_dims=4 * sizes['num_heads'])
    if 'feedforward_channels' in sizes:
        sizes['feedforward_channels'] = sizes['feedforward_channels'] // dims * sizes['embed_dims']
    if isinstance(cfg.get('out_indices'), (list, tuple)):
        cfg['out_indices'] = [(i + 1) * 4 // depth - 1 for i in cfg['out_indices']]
    if cfg.get('frozen_stages', -1) > 0:
        cfg['frozen_stages'] = cfg['frozen_stages'] * 4 // depth
    length = 4 * cfg.get('patch_size', 16)
    cfg['img_size'] = length if isinstance(cfg.get('img_size', 224), int) else (length, length)
    return cfg


def image_size(cfg: dict[str, Any]) -> tuple[int, int]:
    if not cfg['type'].startswith('SwinTransformer'):
        patch = cfg.get('patch_size', 16)
        return 3 * patch, 5 * patch - 3
    if 'img_size' in cfg and not cfg.get('pad_small_map'):
        return cfg['img_size'], cfg['img_size']  # mmpretrain's refuses maps under a window
    return 90, 150


class Wrapper(nn.Module):
    """A model with the backbone at the config's place in it."""

    def __init__(self, backbone: nn.Module, path: tuple[str, ...]) -> None:
        super().__init__()
        self.prefix = '.'.join(path) + '.'
        for name in reversed(path[1:]):
            backbone = nn.ModuleDict({name: backbone})
        self.add_module(path[0], backbone)

    def get_layer_depth(self, name: str) -> tuple[int, int]:
        return self.get_submodule(self.prefix[:-1]).get_layer_depth(name, self.prefix)


def groups(backbone: nn.Module, found: Found) -> dict[str, tuple[float, float]]:
    """The learning rate and the weight decay of each trained parameter."""
    model = Wrapper(backbone, found.path)
    settings = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1., weight_decay=1.),
                    **deepcopy(found.optimiser))
    names = {id(parameter): rename(name.removeprefix(model.prefix))
             for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: (group['lr'], group['weight_decay'])
            for group in build_optim_wrapper(model, settings).param_groups
            for parameter in group['params'] if parameter.requires_grad}


@pytest.fixture(scope='module')
def results() -> Iterator[dict[tuple[str, str], Counter[str]]]:
    """How many configs of each toolkit and class work (``''``), or why they do not."""
    logging.disable(logging.WARNING)  # mmengine logs several lines for each parameter
    reasons: dict[str, str] = {}
    counts: dict[tuple[str, str], Counter[str]] = {}
    for found in find():
        cfg = shrink(found)
        backbone = json.dumps([found.owner, cfg], sort_keys=True)
        whole = json.dumps([backbone, found.path, found.optimiser], sort_keys=True)
        if whole not in reasons:
            reasons[whole] = try_out(found, cfg, is_new=backbone not in reasons)
            reasons[backbone] = reasons[whole]
        counts.setdefault((found.toolkit, cfg['type']), Counter())[reasons[whole]] += 1
    yield counts
    logging.disable(logging.NOTSET)


def try_out(found: Found, cfg: dict[str, Any], is_new: bool) -> str:
    """Why the plugin refuses a backbone, or ``''`` where it equals stock."""
    DefaultScope.get_instance(f'{found.toolkit} {found.config}', scope_name=found.toolkit)
    arguments = deepcopy(cfg)
    name = arguments.pop('type')
    try:
        ours = MODELS.build(dict(type=f'vit_plugin.{CLASSES[name]}', **deepcopy(arguments)))
    except ValueError as error:
        return str(error)
    theirs = getattr(STOCK[found.owner], name)(**arguments)
    try:
        if is_new:
            assert_same(theirs, ours, cfg, image_size(cfg))
        theirs.train()  # stock's Swins freeze here
        expected = groups(theirs, found)
        assert groups(ours, found) == {key: expected[key] for key in expected.keys() - unused(cfg)}
    except AssertionError as error:
        raise AssertionError(f'{found.toolkit} {found.config}') from error
    return ''


def test_configs_work_by_their_type(results: dict[tuple[str, str], Counter[str]]) -> None:
    page = PAGE.read_text()
    for (toolkit, name), counts in results.items():
        version = f'{toolkit} {import_module(toolkit).__version__}'  # has a row where it differs
        row = version if f'| {version} |' in page else toolkit
        assert f"| {row} | `{name}` | {counts.total()} | {counts['']} |\n" in page


def test_the_others_are_refused_by_name(results: dict[tuple[str, str], Counter[str]]) -> None:
    for (toolkit, _), counts in results.items():
        for reason in filter(None, counts):
            assert f'| {toolkit} | {counts[reason]} | `{reason}` |\n' in PAGE.read_text()
