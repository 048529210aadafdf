"""Hugging Face's models around a Swin or a ViT: segmentation, masked images, DINOv2."""
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from tests.conftest import needs
from vit_plugin.checkpoints import (
    CheckpointError,
    from_openmmlab,
    load_pretrained,
    read_state_dict,
    to_openmmlab,
    write_checkpoint,
)

from .checkpoint_models import (
    CLASSES,
    SIZE,
    assert_close,
    assert_stages_equal,
    deit,
    distilled,
    hf_swin,
    hf_vit,
    image,
    randomise,
    swin,
)

SWIN = dict(image_size=SIZE, embed_dim=8, depths=[2, 1, 2], num_heads=[1, 2, 4], window_size=4,
            out_features=['stage1', 'stage2', 'stage3'])
VIT = dict(image_size=SIZE, patch_size=16, hidden_size=16, num_hidden_layers=3,
           num_attention_heads=2)
DECODER = dict(encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
               encoder_attention_heads=1, decoder_attention_heads=1, d_model=8, num_queries=2)


def maskformer_swin() -> nn.Module:
    return transformers.MaskFormerSwinBackbone(transformers.MaskFormerSwinConfig(**SWIN))


def maskformer(cls: str) -> nn.Module:
    config = transformers.MaskFormerConfig(
        backbone_config=transformers.MaskFormerSwinConfig(**SWIN),
        decoder_config=transformers.DetrConfig(**DECODER))
    config.fpn_feature_size = config.mask_feature_size = 32  # of which its norms make groups
    return getattr(transformers, cls)(config)


def mask2former() -> nn.Module:
    return transformers.Mask2FormerModel(transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(**SWIN), feature_size=32, mask_feature_size=32,
        hidden_dim=32, encoder_feedforward_dim=8, encoder_layers=1, decoder_layers=2,
        num_attention_heads=1, dim_feedforward=8, num_queries=2, feature_strides=[4, 8, 16]))


def upernet() -> nn.Module:
    return transformers.UperNetForSemanticSegmentation(transformers.UperNetConfig(
        backbone_config=transformers.SwinConfig(**SWIN), hidden_size=8, pool_scales=[1],
        auxiliary_in_channels=32, auxiliary_channels=8, num_labels=3))


# Version 5 has other names in the memory than `save_pretrained` writes, and version 4.
SAVE: dict[str, Callable[[nn.Module, Path], None]] = {
    'save': lambda model, path: torch.save(model.state_dict(), path),
    'save_pretrained': lambda model, path: model.save_pretrained(path),
}
MODELS: dict[str, Callable[..., nn.Module]] = {
    'SwinModel': swin, 'SwinForImageClassification': swin, 'SwinBackbone': swin,
    'SwinForMaskedImageModeling': swin,
    'ViTModel': deit, 'ViTForImageClassification': deit,
    'DeiTModel': distilled, 'DeiTForImageClassification': distilled,
    'DeiTForImageClassificationWithTeacher': distilled,
}


@pytest.mark.parametrize('way', SAVE)
@pytest.mark.parametrize('cls', MODELS)
def test_model(cls: str, way: str, tmp_path: Path) -> None:
    build = MODELS[cls]
    theirs = hf_swin(cls) if build is swin else hf_vit(cls)
    SAVE[way](theirs, tmp_path / 'model')
    # the backbone shifts where a map is no larger than a window, as mmdet does
    ours = swin(pad_small_map=True) if cls == 'SwinBackbone' else build()
    load_pretrained(ours, tmp_path / 'model')
    assert_stages_equal(theirs, ours)
    if cls == 'SwinBackbone':
        assert_norms_equal(theirs, ours)


OUT: dict[str, tuple[Callable[..., nn.Module], dict[str, str]]] = {
    'SwinForImageClassification': (swin, {'classifier': 'fc'}),
    'ViTForImageClassification': (deit, {'classifier': 'layers.head'}),
    'DeiTForImageClassificationWithTeacher': (distilled, {
        'cls_classifier': 'layers.head', 'distillation_classifier': 'layers.head_dist'}),
}


@pytest.mark.parametrize('index', ['with index', 'without index'])
@pytest.mark.parametrize('cls', OUT)
def test_out(cls: str, index: str, tmp_path: Path) -> None:
    """As `from_pretrained` reads it, and back."""
    build, heads = OUT[cls]
    ours = build()
    weights = {f'backbone.{key}': value for key, value in ours.state_dict().items()}
    width = 16 if build in (deit, distilled) else 32
    for name in heads.values():
        linear = randomise(nn.Linear(width, CLASSES), seed=len(name))
        weights |= {f'head.{name}.{key}': value for key, value in linear.state_dict().items()}
    (hf_swin if 'Swin' in cls else hf_vit)(cls).config.save_pretrained(tmp_path)
    if index == 'without index':  # as timm's weights, which have none
        weights = {key: value for key, value in weights.items() if not key.endswith('index')}
    write_checkpoint(from_openmmlab(weights, 'huggingface'), tmp_path / 'model.safetensors')
    theirs, report = getattr(transformers, cls).from_pretrained(tmp_path, output_loading_info=True)
    for keys in report.values():  # version 5 keeps no indices
        assert all('relative_position_index' in key for key in keys)
    theirs.eval()
    assert_stages_equal(theirs, ours)
    for module, name in heads.items():
        assert torch.equal(getattr(theirs, module).weight, weights[f'head.{name}.weight'])
    back, _ = to_openmmlab(read_state_dict(tmp_path))
    kept = [key for key in weights if not key.startswith(('backbone.norm0', 'backbone.norm1'))]
    assert all(torch.equal(back[key], weights[key]) for key in kept)


def test_layer_scale_has_no_place_there() -> None:
    model = nn.ModuleDict({'backbone': deit(layer_scale_init_value=1.)})
    weights = model.state_dict()
    with pytest.raises(CheckpointError, match=r'has no place for encoder\.layer\.0\.layer_scale1'):
        from_openmmlab(weights, 'huggingface')


def assert_norms_equal(theirs: nn.Module, ours: nn.Module) -> None:
    """Of every output, which pass no other norm."""
    with torch.no_grad():
        for a, b in zip(theirs(image()).feature_maps, ours(image()), strict=True):
            assert_close(b, a)


SEGMENTORS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    'MaskFormerSwinBackbone': (maskformer_swin, ''),
    'MaskFormerModel': (lambda: maskformer('MaskFormerModel'), 'pixel_level_module.encoder'),
    'MaskFormerForInstanceSegmentation': (
        lambda: maskformer('MaskFormerForInstanceSegmentation'),
        'model.pixel_level_module.encoder'),
    'Mask2FormerModel': (mask2former, 'pixel_level_module.encoder'),
    'UperNetForSemanticSegmentation': (upernet, 'backbone'),
}


@pytest.mark.parametrize('way', SAVE)
@pytest.mark.parametrize('cls', SEGMENTORS)
def test_swin_of_a_segmentor(cls: str, way: str, tmp_path: Path) -> None:
    """Every stage and every norm, which are beside MaskFormer's Swin and within the others."""
    if cls.startswith('MaskFormerFor'):
        needs('scipy')
    build, name = SEGMENTORS[cls]
    theirs = randomise(build())
    SAVE[way](theirs, tmp_path / 'model')
    ours = swin(pad_small_map=True)
    load_pretrained(ours, tmp_path / 'model')
    assert_stages_equal(theirs.get_submodule(name), ours)
    assert_norms_equal(theirs.get_submodule(name), ours)


@pytest.mark.parametrize('way', SAVE)
def test_one_output_of_a_backbone(way: str, tmp_path: Path) -> None:
    """The last of three, as detectors take it from a backbone."""
    theirs = randomise(transformers.SwinBackbone(
        transformers.SwinConfig(**dict(SWIN, out_features=['stage3']))))
    SAVE[way](theirs, tmp_path / 'model')
    ours = swin(pad_small_map=True, out_indices=2)
    load_pretrained(ours, tmp_path / 'model')
    assert_norms_equal(theirs, ours)


def test_prefix_within_maskformer_is_refused(tmp_path: Path) -> None:
    """Under it the Swin is without its norms, and with one that no output passes."""
    torch.save(maskformer('MaskFormerModel').state_dict(), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r"under prefix='pixel_level_module.encoder.model', "
                                              r"but under \['pixel_level_module.encoder.'\]"):
        load_pretrained(swin(), tmp_path / 'a.pth', prefix='pixel_level_module.encoder.model')


@pytest.mark.parametrize('way', SAVE)
@pytest.mark.parametrize('cls', ['Dinov2Model', 'Dinov2ForImageClassification', 'Dinov2Backbone'])
def test_dinov2(cls: str, way: str, tmp_path: Path, log: Callable) -> None:
    theirs = randomise(getattr(transformers, cls)(transformers.Dinov2Config(
        **VIT, mlp_ratio=4, num_labels=CLASSES)))
    SAVE[way](theirs, tmp_path / 'model')
    ours = deit(layer_scale_init_value=1.)
    load_pretrained(ours, tmp_path / 'model')
    assert_stages_equal(theirs, ours)
    assert log()[0].levelno == logging.INFO
    assert torch.equal(ours.ln1.weight, dict(theirs.named_parameters())[
        'layernorm.weight' if cls != 'Dinov2ForImageClassification' else 'dinov2.layernorm.weight'])


@pytest.mark.parametrize(('cls', 'config', 'reason'), [
    pytest.param('Dinov2WithRegistersModel', dict(num_register_tokens=2), 'registers',
                 marks=pytest.mark.skipif(not hasattr(transformers, 'Dinov2WithRegistersModel'),
                                          reason='transformers 4.44 has no such model')),
    ('Dinov2Model', dict(use_swiglu_ffn=True), 'SwiGLU')])
def test_dinov2_that_does_not_fit_is_refused_by_name(cls: str, config: dict, reason: str,
                                                     tmp_path: Path) -> None:
    config_class = getattr(transformers, cls.replace('Model', 'Config'))
    theirs = getattr(transformers, cls)(config_class(**VIT, mlp_ratio=4, **config))
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=f'the checkpoint is of a.*{reason}'):
        load_pretrained(deit(layer_scale_init_value=1.), tmp_path / 'a.pth')


def masked(cls: str) -> nn.Module:
    prefix = cls.split('For')[0].removesuffix('Model')
    config = dict(decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_intermediate_size=8,
                  decoder_num_attention_heads=1) if prefix == 'ViTMAE' else {}
    return randomise(getattr(transformers, cls)(getattr(transformers, prefix + 'Config')(
        **VIT, intermediate_size=64, **config)))


@pytest.mark.parametrize('cls', ['ViTMAEForPreTraining', 'ViTMAEModel',
                                 'ViTForMaskedImageModeling', 'DeiTForMaskedImageModeling'])
def test_masked_images(cls: str, tmp_path: Path, log: Callable) -> None:
    """The decoder is left out; a whole image through the encoder is the same."""
    theirs = masked(cls)
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    ours = deit()
    load_pretrained(ours, tmp_path / 'a.pth')
    if cls.startswith('DeiT'):  # has a token that ours has not
        assert torch.equal(ours.pos_embed[:, 1:], theirs.deit.embeddings.position_embeddings[:, 2:])
        return
    whole = hf_vit('ViTModel')
    whole.load_state_dict(getattr(theirs, 'vit', theirs).state_dict(), strict=False)
    assert_stages_equal(whole, ours)
    assert log()[0].levelno == logging.INFO
