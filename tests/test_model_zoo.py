"""model-index.yml as mim and mmpretrain read it."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain import ImageClassificationInferencer, get_model, inference_model, list_models
from mmpretrain.apis.model import ModelHub
from mmpretrain.registry import MODELS
from modelindex.load_model_index import load

import vit_plugin
from tests.conftest import ROOT

INDEX = load(str(ROOT / 'model-index.yml'))
INDEX.build_models_with_collections()
ZOO = {model.name: model for model in INDEX.models
       if model.config.startswith(('configs/classification', 'configs/distillation'))}


@pytest.fixture(scope='module')
def hub() -> type[ModelHub]:
    mim = Path(vit_plugin.__file__).parent / '.mim'
    ModelHub.register_model_index(mim / 'model-index.yml', config_prefix=mim)
    return ModelHub


@pytest.mark.parametrize('name', ZOO)
def test_entry_tells_the_truth(name: str, hub: type[ModelHub]) -> None:
    entry = hub.get(name)
    student = dict(entry.config.model, type='mmpretrain.ImageClassifier')
    for key in ('teacher', 'distillation'):
        student.pop(key, None)
    with torch.device('meta'):
        model = MODELS.build(student)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert entry.metadata.data['Parameters'] == count
    # multiply-adds of linear layers and convolutions: at least one for each weight
    assert entry.metadata.data['FLOPs'] > count / 2
    text = Path(ROOT / ZOO[name].config).read_text()
    assert entry.weights.startswith('https://')
    top1 = entry.results[0].metrics['Top 1 Accuracy']
    assert str(top1) in text  # the header says the same


@pytest.mark.parametrize('by', ['name', 'config'])
def test_get_model_and_inference(hub: type[ModelHub], by: str) -> None:
    name = 'deit-tiny_8xb128_in1k'
    assert list_models('deit-tiny_8xb128*') == [name]
    model = get_model(name if by == 'name' else str(ROOT / ZOO[name].config), pretrained=False)
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    if by == 'name':
        result = inference_model(model, image)
    else:  # without an entry, inference_model cannot know the task
        result = ImageClassificationInferencer(model)(image)[0]
    assert result['pred_scores'].shape == (1000,)
    assert result['pred_class'] == model._dataset_meta['classes'][result['pred_label']]
