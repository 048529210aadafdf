"""Weights of every source compute the same here, and back; the table is in docs/checkpoints.md."""
import re
from pathlib import Path
from pickle import UnpicklingError

import mmdet.models
import mmpretrain.models
import mmseg.models
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import load_checkpoint
from mmpretrain.models import ImageClassifier
from safetensors.torch import save_file
from torch import Tensor, nn

from vit_plugin.checkpoints import from_openmmlab, load_pretrained, read_state_dict, to_openmmlab

from .checkpoint_models import (
    CLASSES,
    SIZE,
    SWIN,
    VIT,
    assert_close,
    assert_stages_equal,
    deit,
    distilled,
    hf_swin,
    hf_vit,
    image,
    old_swin_names,
    randomise,
    swin,
    timm_swin,
    timm_vit,
)

TOOLKITS = {'mmpretrain': mmpretrain.models.SwinTransformer,
            'mmdet': mmdet.models.SwinTransformer,
            'mmseg': mmseg.models.backbones.SwinTransformer}


def stock_swin(toolkit: str) -> nn.Module:
    cfg = dict(out_indices=(0, 1, 2), drop_path_rate=0.)
    if toolkit == 'mmpretrain':
        return randomise(TOOLKITS[toolkit](arch=SWIN, window_size=4, img_size=SIZE, **cfg))
    return randomise(TOOLKITS[toolkit](**SWIN, window_size=4, strides=(4, 2, 2), **cfg))


def stock_vit(patch_bias: bool) -> nn.Module:
    return randomise(mmseg.models.backbones.VisionTransformer(
        img_size=SIZE, embed_dims=16, num_layers=3, num_heads=2, mlp_ratio=4, final_norm=True,
        norm_cfg=dict(type='LN', eps=1e-6), out_indices=[0, 1, 2], patch_bias=patch_bias))


def pretrained(model: nn.Module, weights: dict[str, Tensor], path: Path) -> nn.Module:
    """Load through the backbone's init_cfg."""
    torch.save(weights, path)
    model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model.init_weights()
    return model


SWIN_SOURCES = {
    'timm': lambda: timm_swin(),
    'mmpretrain': lambda: stock_swin('mmpretrain'),
}
VIT_SOURCES = {
    'timm ViT': lambda: timm_vit(),
    'timm LayerScale': lambda: timm_vit(init_values=0.1),
    'mmpretrain': lambda: randomise(mmpretrain.models.VisionTransformer(
        arch=VIT, img_size=SIZE, patch_size=16)),
    'mmseg without a bias of the patches': lambda: stock_vit(False),
    'mmseg': lambda: stock_vit(True),
}
DISTILLED_SOURCES = {
    'timm': lambda: timm_vit('deit_tiny_distilled_patch16_224'),
    'mmpretrain': lambda: randomise(mmpretrain.models.DistilledVisionTransformer(
        arch=VIT, img_size=SIZE, patch_size=16)),
}


@pytest.mark.parametrize('source', SWIN_SOURCES)
def test_swin_in(source: str, tmp_path: Path) -> None:
    theirs = SWIN_SOURCES[source]()
    assert_stages_equal(theirs, pretrained(swin(), theirs.state_dict(), tmp_path / 'a.pth'))


@pytest.mark.parametrize('source', VIT_SOURCES)
def test_vit_in(source: str, tmp_path: Path) -> None:
    theirs = VIT_SOURCES[source]()
    scale = 0.5 if 'LayerScale' in source else 0.
    ours = pretrained(deit(layer_scale_init_value=scale), theirs.state_dict(), tmp_path / 'a.pth')
    assert_stages_equal(theirs, ours)


@pytest.mark.parametrize('source', DISTILLED_SOURCES)
def test_distilled_in(source: str, tmp_path: Path) -> None:
    theirs = DISTILLED_SOURCES[source]()
    assert_stages_equal(theirs, pretrained(distilled(), theirs.state_dict(), tmp_path / 'a.pth'))


@pytest.mark.parametrize('masks', [True, False], ids=['official', 'old timm'])
def test_official_swin_in(masks: bool, tmp_path: Path) -> None:
    theirs = timm_swin()
    ours = pretrained(swin(), {'model': old_swin_names(theirs, masks)}, tmp_path / 'a.pth')
    assert_stages_equal(theirs, ours)
    with torch.no_grad():  # the one norm of the classifier is the last stage's
        expected = theirs.forward_features(image()).permute(0, 3, 1, 2)
        assert_close(ours(image())[2], expected)


def test_swin_detector_of_the_official_code(tmp_path: Path) -> None:
    """Swin-Transformer-Object-Detection has norm0 ... norm3 and a detector around them."""
    theirs = timm_swin()
    norms = {f'norm{i}.{part}': torch.full((8 * 2**i,), i + 0.5)
             for i in range(3) for part in ('weight', 'bias')}
    weights = {key: value for key, value in old_swin_names(theirs).items()
               if not key.startswith(('norm.', 'head.'))}
    weights = {f'backbone.{key}': value for key, value in {**weights, **norms}.items()}
    ours = pretrained(swin(), {'state_dict': {**weights, 'rpn_head.rpn_conv.bias': torch.ones(3)}},
                      tmp_path / 'a.pth')
    assert_stages_equal(theirs, ours)
    for name, value in norms.items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize('toolkit', TOOLKITS)
@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.'])
def test_openmmlab_swin_in_and_back(toolkit: str, prefix: str, tmp_path: Path) -> None:
    theirs = stock_swin(toolkit)
    weights = {prefix + key: value for key, value in theirs.state_dict().items()}
    if prefix:
        weights[prefix.replace('backbone', 'bbox_head') + 'fc.weight'] = torch.ones(1)
    ours = pretrained(swin(), {'state_dict': weights}, tmp_path / 'a.pth')
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
    back = stock_swin(toolkit)
    back.load_state_dict(swin().state_dict(), strict=True)


def test_old_mmcls_names(tmp_path: Path) -> None:
    theirs = stock_swin('mmpretrain').state_dict()
    weights = {f"backbone.{key.replace('norm2', 'norm') if key.startswith('norm2') else key}": value
               for key, value in theirs.items() if not key.startswith(('norm0', 'norm1'))}
    weights['backbone.stages.0.blocks.1.attn.attn_mask'] = torch.zeros(4, 16, 16)
    ours = pretrained(swin(out_indices=2), weights, tmp_path / 'a.pth')
    for name, value in ours.state_dict().items():
        assert torch.equal(theirs[name], value)


@pytest.mark.parametrize('nested', ['model', 'state_dict', 'model_ema', None])
@pytest.mark.parametrize('module', ['', 'module.'])
def test_nesting(nested: str | None, module: str, tmp_path: Path) -> None:
    theirs = timm_vit()
    weights = {module + key: value for key, value in theirs.state_dict().items()}
    content = {nested: weights, 'epoch': 3} if nested else weights
    assert_stages_equal(theirs, pretrained(deit(), content, tmp_path / 'a.pth'))


def test_safetensors(tmp_path: Path) -> None:
    theirs = timm_swin()
    save_file(theirs.state_dict(), tmp_path / 'model.safetensors')
    ours = swin()
    load_pretrained(ours, tmp_path / 'model.safetensors')
    assert_stages_equal(theirs, ours)


def classifier(backbone: nn.Module) -> ImageClassifier:
    if hasattr(backbone, 'stages'):
        neck, head = dict(type='GlobalAveragePooling'), dict(type='LinearClsHead', in_channels=32)
    elif hasattr(backbone, 'dist_token'):
        neck, head = None, dict(type='vit_plugin.DistilledDeiTHead', in_channels=16)
    else:
        neck, head = None, dict(type='vit_plugin.DeiTHead', in_channels=16)
    return ImageClassifier(backbone, neck, dict(head, num_classes=CLASSES)).eval()


CLASSIFIERS = {
    'timm Swin': (timm_swin, swin),
    'official Swin': (timm_swin, swin),
    'timm ViT': (timm_vit, deit),
    'timm distilled': (DISTILLED_SOURCES['timm'], distilled),
    'Hugging Face Swin': (lambda: hf_swin('SwinForImageClassification'), swin),
    'Hugging Face ViT': (lambda: hf_vit('ViTForImageClassification'), deit),
    'Hugging Face DeiT': (lambda: hf_vit('DeiTForImageClassificationWithTeacher'), distilled),
}


@pytest.mark.parametrize('source', CLASSIFIERS)
def test_load_from_of_a_classifier(source: str, tmp_path: Path) -> None:
    """mmengine's ``load_from=``: the backbone and the head, without a prefix, as published."""
    build_theirs, build = CLASSIFIERS[source]
    theirs = build_theirs()
    official = source.startswith('official')
    weights = {'model': old_swin_names(theirs)} if official else theirs.state_dict()
    torch.save(weights, tmp_path / 'a.pth')
    ours = classifier(build())
    load_checkpoint(ours, str(tmp_path / 'a.pth'))
    with torch.no_grad():
        expected = theirs(image())
        assert_close(ours(image()), expected if isinstance(expected, Tensor) else expected.logits)


@pytest.mark.parametrize('target', ['timm', 'official'])
def test_swin_out(target: str) -> None:
    ours, theirs = classifier(swin(out_indices=2)), timm_swin()
    converted = from_openmmlab(ours.state_dict(), target)
    if target == 'official':
        assert converted.keys() == old_swin_names(theirs).keys() - {'layers.0.blocks.1.attn_mask'}
        converted = {key: value for key, value in converted.items() if 'index' not in key}
        moved = {f'layers.{i}.downsample.': f'layers.{i + 1}.downsample.' for i in range(2)}
        for key in list(converted):
            start = '.'.join(key.split('.')[:3]) + '.'
            if start in moved:
                converted['new ' + key.replace(start, moved[start])] = converted.pop(key)
        converted = {key.removeprefix('new ').replace('head.', 'head.fc.'): value
                     for key, value in converted.items()}
    theirs.load_state_dict(converted, strict=True)
    assert_stages_equal(theirs, ours)
    with torch.no_grad():
        assert_close(theirs(image()), ours(image()))


@pytest.mark.parametrize(('build', 'name'), [(deit, 'deit_tiny_patch16_224'),
                                         (distilled, 'deit_tiny_distilled_patch16_224')])
@pytest.mark.parametrize('target', ['timm', 'official'])
def test_vit_out(target: str, build, name: str) -> None:
    ours, theirs = classifier(build()), timm_vit(name)
    theirs.load_state_dict(from_openmmlab(ours.state_dict(), target), strict=True)
    assert_stages_equal(theirs, ours)
    with torch.no_grad():
        assert_close(theirs(image()), ours(image()))


@pytest.mark.parametrize('build', [swin, deit, distilled])
@pytest.mark.parametrize('target', ['timm', 'official'])
def test_round_trip_is_exact(build, target: str) -> None:
    ours = classifier(build(out_indices=2))
    there = from_openmmlab(ours.state_dict(), target)
    back, _ = to_openmmlab(there)
    for name, value in ours.state_dict().items():
        if not name.endswith('index') and not name.startswith(('backbone.norm0', 'backbone.norm1')):
            assert torch.equal(back[name], value), name


def test_several_backbones(tmp_path: Path) -> None:
    first, second = timm_swin(), randomise(timm_swin(), seed=5)
    weights = {f'{name}.{key}': value for name, model in (('student', first), ('teacher', second))
               for key, value in model.state_dict().items()}
    torch.save(weights, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='prefix='):
        load_pretrained(swin(), tmp_path / 'a.pth')
    ours = swin(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'),
                              prefix='teacher'))
    ours.init_weights()
    assert_stages_equal(second, ours)


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    theirs = timm_swin().bfloat16()
    ours = pretrained(swin(), theirs.state_dict(), tmp_path / 'a.pth')
    assert ours.patch_embed.projection.weight.dtype == torch.float32
    assert_stages_equal(theirs.float(), ours)


@pytest.mark.parametrize('numpy', ['numpy.core', 'numpy._core'])
def test_mmengine_training_checkpoint_is_read(numpy: str, tmp_path: Path) -> None:
    """Its logged scalars are a HistoryBuffer of arrays, of numpy 1 or 2; weights_only refuses."""
    hub = MessageHub('test_mmengine_training_checkpoint_is_read')
    hub.update_scalar('train/loss', 0.5)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=deit().state_dict(), message_hub=hub.state_dict()), path,
               _use_new_zipfile_serialization=False)
    written = re.sub(rb'cnumpy\._?core', b'c' + numpy.encode(), path.read_bytes())
    assert b'c' + numpy.encode() + b'.multiarray' in written
    path.write_bytes(written)
    before = set(torch.serialization.get_safe_globals())
    with pytest.raises(UnpicklingError, match='HistoryBuffer'):
        torch.load(path, weights_only=True)
    assert torch.equal(read_state_dict(path)['pos_embed'], deit().pos_embed)
    assert set(torch.serialization.get_safe_globals()) == before
