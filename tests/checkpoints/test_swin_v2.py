"""Swin V2 of every source gives the source's outputs, and goes back."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm.models
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vit_plugin.backbones import SwinTransformer, SwinTransformerV2
from vit_plugin.checkpoints import CheckpointError, load_pretrained
from vit_plugin.checkpoints.layouts import from_openmmlab, to_openmmlab

ARCH = dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))
IMAGE = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))


def randomise(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            offset = 1. if value.ndim == 1 and name.endswith('weight') else 0.
            value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))
    return model.eval()


def timms(**arguments: Any) -> nn.Module:
    return randomise(timm.models.swin_transformer_v2.SwinTransformerV2(
        img_size=256, embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window_size=8,
        num_classes=5, **arguments))


def torchvisions() -> nn.Module:
    from torchvision.models import swin_transformer as tv
    return randomise(tv.SwinTransformer(
        [4, 4], 16, [2, 2, 2, 2], [1, 2, 4, 8], [8, 8], num_classes=5,
        block=tv.SwinTransformerBlockV2, downsample_layer=tv.PatchMergingV2))


def hugging_faces() -> nn.Module:
    from transformers import Swinv2Config, Swinv2ForImageClassification
    return randomise(Swinv2ForImageClassification(Swinv2Config(
        image_size=256, embed_dim=16, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8], window_size=8,
        num_labels=5)))


def load(weights: dict[str, Tensor], tmp_path: Path, **arguments: Any) -> nn.Module:
    path = tmp_path / 'weights.safetensors'
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    model = randomise(SwinTransformerV2(ARCH, out_indices=3, **arguments))
    load_pretrained(model, path)
    return model.eval()


@torch.no_grad()
def last_map(model: nn.Module) -> Tensor:
    if hasattr(model, 'forward_features'):
        return model.forward_features(IMAGE).permute(0, 3, 1, 2)
    if hasattr(model, 'features'):
        return model.norm(model.features(IMAGE)).permute(0, 3, 1, 2)
    return model.swinv2(IMAGE).last_hidden_state.transpose(1, 2).unflatten(2, (8, 8))


@pytest.mark.parametrize('source', [timms, torchvisions, hugging_faces])
def test_in(source: Any, tmp_path: Path) -> None:
    theirs = source()
    ours = load(theirs.state_dict(), tmp_path)
    with torch.no_grad():
        found, expected = ours(IMAGE)[0], last_map(theirs)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def official(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names as the official code has them: the merging ends a stage."""
    moved = {}
    for key, value in weights.items():
        if '.downsample.' in key:
            stage = int(key.split('.')[1])
            key = key.replace(f'layers.{stage}.', f'layers.{stage - 1}.')
        moved[key.replace('head.fc.', 'head.')] = value
    return moved


def test_official_in(tmp_path: Path) -> None:
    weights = timms().state_dict()
    models = [load(w, tmp_path) for w in (weights, official(weights))]
    for a, b in zip(*(model.parameters() for model in models)):
        assert torch.equal(a, b)


@pytest.mark.parametrize('to', ['timm', 'official'])
def test_there_and_back(to: str) -> None:
    weights = timms().state_dict()
    middle, layout = to_openmmlab(weights)
    assert layout == 'timm'
    back = from_openmmlab(middle, to)
    expected = weights if to == 'timm' else official(weights)
    assert back.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in back.items())


def test_there_and_back_to_hugging_face() -> None:
    weights = hugging_faces().state_dict()
    middle, layout = to_openmmlab(weights)
    assert layout == 'Hugging Face'
    back = from_openmmlab(middle, 'huggingface')
    assert back.keys() == weights.keys()
    assert all(torch.equal(value, weights[key]) for key, value in back.items())


def test_another_window_at_load(tmp_path: Path) -> None:
    """As the official fine-tuning: pre-trained with windows of 6, fine-tuned with 8."""
    theirs = timms(pretrained_window_sizes=(6, 6, 6, 6))
    ours = load(theirs.state_dict(), tmp_path, window_size=8, pretrained_window_sizes=6)
    expected = last_map(theirs)
    with torch.no_grad():
        assert (ours(IMAGE)[0] - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_other_models_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match='Swin V1'):
        SwinTransformerV2(ARCH).load_state_dict(SwinTransformer(ARCH).state_dict())
    with pytest.raises(CheckpointError, match='Swin V2'):
        SwinTransformer(ARCH).load_state_dict(SwinTransformerV2(ARCH).state_dict())
    other = timm.models.swin_transformer_v2_cr.SwinTransformerV2Cr(
        img_size=64, embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8), window_size=2)
    with pytest.raises(CheckpointError, match='swinv2_cr'):
        SwinTransformerV2(ARCH).load_state_dict(other.state_dict())


def test_warns_of_windows_that_pretraining_did_not_know(tmp_path: Path, log: Callable) -> None:
    weights = SwinTransformerV2(ARCH, window_size=(8, 8, 8, 4)).state_dict()
    load(weights, tmp_path, window_size=16)
    load(weights, tmp_path, window_size=16, pretrained_window_sizes=(8, 8, 8, 4))
    warned, quiet = log()
    assert 'set pretrained_window_sizes=(8, 8, 8, 4)' in warned.getMessage()
    assert 'offsets by [16, 16, 16, 16]' in warned.getMessage()
    assert 'outputs differ' not in quiet.getMessage()
