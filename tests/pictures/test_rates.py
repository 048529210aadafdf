"""The learning rates that are drawn are those of the optimizer."""
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.pictured import MakeConfig
from vit_plugin.pictures import rates
from vit_plugin.pictures.subject import Subject, load_subject

pytestmark = pytest.mark.usefixtures('no_window')


def load(path: Path) -> Subject:
    return load_subject(Config.fromfile(path), path.stem, None)


def test_rates_are_those_of_layer_decay(pictured: MakeConfig) -> None:
    path = pictured('classification', 'DeiT')
    path.write_text(path.read_text() + """
model['backbone']['frozen_stages'] = 1
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.5))
""")
    found = rates.layer_rates(load(path))
    table = {(rate.layer, rate.weight_decay): rate.lr for rate in found}
    assert table['backbone.layers.0', 0.] is None
    assert table['backbone.patch_embed', 0.] is None
    # of 4 depths (patches, two blocks, the rest) the second block is the last but one
    assert table['backbone.layers.1', 0.05] == table['backbone.layers.1', 0.] == 0.5e-3
    assert table['head', 0.05] == table['backbone.ln1', 0.] == 1e-3
    assert found[rates.Rate('head', 1e-3, 0.05)] == 2 * 64
    plain = load(path)
    plain.cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))  # one group of everything
    assert {rate.layer: rate.lr for rate in rates.layer_rates(plain)} == {
        layer: None if table[layer, decay] is None else 0.1 for layer, decay in table}
    figure = rates.draw(load(path))
    notes = [text.get_text() for text in figure.axes[0].texts]
    assert sum('frozen' in note for note in notes) == 4  # patches, token, position, first block
