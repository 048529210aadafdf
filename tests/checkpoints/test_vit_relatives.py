"""ViTs that were trained otherwise: MAE, DINO, I-JEPA, MoCo v3, DeiT III, pooled patches."""
import logging
from collections.abc import Callable
from pathlib import Path

import mmpretrain.models
import pytest
import timm
import torch
from mmengine.runner import load_checkpoint
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from vit_plugin.checkpoints import CheckpointError, from_openmmlab, load_pretrained, to_openmmlab

from .checkpoint_models import (
    CLASSES,
    SIZE,
    VIT,
    assert_close,
    assert_stages_equal,
    deit,
    distilled,
    image,
    randomise,
    timm_vit,
)


def load(ours: nn.Module, content: object, path: Path, **options: object) -> nn.Module:
    torch.save(content, path / 'a.pth')
    load_pretrained(ours, path / 'a.pth', **options)
    return ours


def mae_decoder() -> dict[str, Tensor]:
    """The keys beside the encoder's in facebookresearch/mae (models_mae.py)."""
    block = {'norm1.weight': 8, 'attn.qkv.weight': 24, 'mlp.fc1.weight': 32}
    return {'mask_token': torch.zeros(1, 1, 8), 'decoder_pos_embed': torch.zeros(1, 17, 8),
            'decoder_embed.weight': torch.zeros(8, 16), 'decoder_embed.bias': torch.zeros(8),
            **{f'decoder_blocks.{i}.{name}': torch.zeros(size, 8)
               for i in range(2) for name, size in block.items()},
            'decoder_norm.weight': torch.zeros(8), 'decoder_pred.weight': torch.zeros(768, 8)}


def test_mae(tmp_path: Path, log: Callable) -> None:
    theirs = timm_vit()
    ours = load(deit(), {'model': {**theirs.state_dict(), **mae_decoder()}}, tmp_path)
    assert_stages_equal(theirs, ours)
    record, = log()
    assert record.levelno == logging.INFO
    assert 'skipped head, mask_token, decoder_pos_embed' in record.getMessage()


def test_mae_of_mmpretrain(tmp_path: Path) -> None:
    """Its decoder is a neck."""
    encoder = randomise(mmpretrain.models.MAEViT(arch=VIT, img_size=SIZE, patch_size=16))
    decoder = mmpretrain.models.MAEPretrainDecoder(16, 16, embed_dim=16, decoder_embed_dim=8,
                                                   decoder_depth=1, decoder_num_heads=1)
    whole = nn.ModuleDict({'backbone': encoder, 'neck': decoder})
    ours = load(deit(), {'state_dict': whole.state_dict()}, tmp_path)
    for name, value in ours.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], value)


@pytest.mark.parametrize('source', ['timm', 'mmpretrain', 'mmpretrain without ln1'])
def test_pooled_patches(source: str, tmp_path: Path, log: Callable) -> None:
    """All blocks load; that the norm after the average is left out is a warning."""
    if source == 'timm':
        theirs = timm_vit('vit_tiny_patch16_224', global_pool='avg')
    else:
        theirs = randomise(mmpretrain.models.VisionTransformer(
            arch=VIT, img_size=SIZE, patch_size=16, out_type='avg_featmap',
            final_norm='without' not in source))
    ours = load(deit(), theirs.state_dict(), tmp_path)
    assert_stages_equal(theirs, ours)
    record, = log()
    assert record.levelno == logging.WARNING
    assert 'the source averages the patches' in record.getMessage()


def test_pooled_patches_convert_back(tmp_path: Path) -> None:
    theirs = timm_vit('vit_tiny_patch16_224', global_pool='avg')
    weights, _ = to_openmmlab(theirs.state_dict())
    back = from_openmmlab(weights, 'timm')
    assert all(torch.equal(back[key], value) for key, value in theirs.state_dict().items())


DINO_HEAD = {'head.mlp.0.weight': torch.zeros(4, 16), 'head.last_layer.weight_g': torch.ones(4, 1)}


def side_by_side(student: nn.Module, teacher: nn.Module) -> dict:
    """As facebookresearch/dino (main_dino.py) saves a training."""
    return {
        'student': {f'module.{name}': value for name, value in {
            **{f'backbone.{k}': v for k, v in student.state_dict().items()}, **DINO_HEAD}.items()},
        'teacher': {**{f'backbone.{k}': v for k, v in teacher.state_dict().items()}, **DINO_HEAD},
        'optimizer': torch.optim.SGD(student.parameters(), 0.1).state_dict(), 'epoch': 3,
        'dino_loss': {'center': torch.zeros(1, 4)}}


@pytest.mark.parametrize(('prefix', 'which'), [
    ('student', 0), ('student.', 0), ('student.backbone', 0), ('student.module.backbone.', 0),
    ('teacher', 1), ('teacher.backbone.', 1)])
def test_dino(prefix: str, which: int, tmp_path: Path) -> None:
    models = timm_vit(), randomise(timm_vit(), seed=5)
    ours = load(deit(), side_by_side(*models), tmp_path, prefix=prefix)
    assert_stages_equal(models[which], ours)


@pytest.mark.parametrize('prefix', [None, 'model', 'backbone'])
def test_dino_without_a_choice_names_both(prefix: str | None, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'student\.backbone\.', 'teacher\.backbone\.'"):
        load(deit(), side_by_side(timm_vit(), timm_vit()), tmp_path, prefix=prefix)


def test_dino_by_load_from_names_the_command(tmp_path: Path) -> None:
    torch.save(side_by_side(timm_vit(), timm_vit()), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='--prefix of `vit-plugin convert`'):
        load_checkpoint(ImageClassifier(deit()), str(tmp_path / 'a.pth'))


def test_teacher_alone(tmp_path: Path) -> None:
    """DINOv2's and I-JEPA's trainings hold one whole backbone: no choice to make."""
    theirs = timm_vit()
    weights = {f'module.{key}': value for key, value in theirs.state_dict().items()}
    predictor = {'module.predictor_embed.weight': torch.zeros(8, 16)}
    ours = load(deit(), {'target_encoder': weights, 'predictor': predictor}, tmp_path)
    assert_stages_equal(theirs, ours)


@pytest.mark.parametrize('prefix', ['module.base_encoder.', 'base_encoder', 'module.base_encoder'])
def test_prefix_as_written_in_the_file(prefix: str, tmp_path: Path) -> None:
    """MoCo v3: facebookresearch/moco-v3 (main_moco.py) saves a model within torch's DDP."""
    first, second = timm_vit(), randomise(timm_vit(), seed=5)
    weights = {f'module.{name}.{key}': value for name, model in (
        ('base_encoder', first), ('momentum_encoder', second))
        for key, value in model.state_dict().items()}
    ours = load(deit(), {'state_dict': weights}, tmp_path, prefix=prefix)
    assert_stages_equal(first, ours)


def official_deit3(model: nn.Module) -> dict[str, Tensor]:
    """The names of facebookresearch/deit (models_v2.py)."""
    return {key.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2'): value
            for key, value in model.state_dict().items()}


@pytest.mark.parametrize('source', ['timm', 'official', 'mmpretrain'])
@pytest.mark.parametrize('size', [SIZE, 96])
def test_deit3(source: str, size: int, tmp_path: Path, log: Callable) -> None:
    """The class token has no position there: 0 here."""
    if source == 'mmpretrain':
        theirs = randomise(mmpretrain.models.DeiT3(arch=VIT, img_size=SIZE, patch_size=16))
        for layer in theirs.layers:  # its forward (1.2.0, 1.3.6) takes ln1 in place of ln2
            layer.ln2.load_state_dict(layer.ln1.state_dict())
    else:
        theirs = timm_vit('deit3_small_patch16_224')
    weights = official_deit3(theirs) if source == 'official' else theirs.state_dict()
    ours = load(deit(layer_scale_init_value=1., img_size=size), weights, tmp_path)
    assert not ours.pos_embed[:, 0].any()
    assert log()[0].levelno == logging.INFO
    if size == SIZE:
        assert_stages_equal(theirs, ours)
    else:
        fresh = deit(layer_scale_init_value=1.)
        load(fresh, weights, tmp_path)
        with torch.no_grad():  # interpolated at the load as in the forward
            assert_close(ours(image(size))[0], fresh(image(size))[0])


def test_deit3_to_other_tokens(tmp_path: Path) -> None:
    theirs = timm_vit('deit3_small_patch16_224').state_dict()
    ours = distilled(layer_scale_init_value=1.)
    before = ours.pos_embed[:, 1].clone()
    load(ours, theirs, tmp_path)
    assert not ours.pos_embed[:, 0].any()
    assert torch.equal(ours.pos_embed[:, 1], before)
    assert torch.equal(ours.pos_embed[:, 2:], theirs['pos_embed'])
    windows = deit(layer_scale_init_value=1., out_type='featmap', window_size=2)
    load(windows, theirs, tmp_path)
    assert torch.equal(windows.pos_embed, theirs['pos_embed'])


def test_length_alone_does_not_tell_a_grid(tmp_path: Path) -> None:
    """A token and 3x5 patches are as many as 4x4 patches; without LayerScale it is no DeiT III."""
    theirs = deit(img_size=(48, 80))
    with pytest.raises(CheckpointError, match='15 patches is of no square grid'):
        load(deit(), theirs.state_dict(), tmp_path)
    theirs = deit(img_size=(48, 80), layer_scale_init_value=1.)
    ours = load(deit(layer_scale_init_value=1., img_size=(48, 80)), theirs.state_dict(), tmp_path)
    assert torch.equal(ours.pos_embed, theirs.pos_embed)
    ours = deit(layer_scale_init_value=1.)
    load(ours, theirs.state_dict(), tmp_path, source_grid=(3, 5))
    assert torch.equal(ours.pos_embed[:, 0], theirs.pos_embed[:, 0])


def test_dinov2_of_timm(tmp_path: Path) -> None:
    theirs = randomise(timm.create_model(
        'vit_small_patch14_dinov2', img_size=56, embed_dim=16, depth=3, num_heads=2,
        num_classes=CLASSES))
    ours = load(deit(patch_size=14, img_size=56, layer_scale_init_value=1.), theirs.state_dict(),
                tmp_path)
    assert_stages_equal(theirs, ours, image(56))


@pytest.mark.parametrize(('name', 'reason'), [
    ('vit_small_patch14_reg4_dinov2', 'a ViT with registers'),
    ('deit3_small_patch16_224', 'give layer_scale_init_value > 0'),
    ('beit_base_patch16_224', 'relative positions'),
    ('vit_base_patch16_clip_224', 'before its first block'),
])
def test_refusals_name_the_reason(name: str, reason: str, tmp_path: Path) -> None:
    theirs = timm.create_model(name, img_size=56 if '14' in name else SIZE, embed_dim=16, depth=3,
                               num_heads=2, num_classes=CLASSES)
    ours = deit(layer_scale_init_value=1. if 'dinov2' in name else 0.,
                patch_size=14 if '14' in name else 16, img_size=56 if '14' in name else SIZE)
    with pytest.raises(CheckpointError, match=f'the checkpoint is of .*{reason}'):
        load(ours, theirs.state_dict(), tmp_path)
