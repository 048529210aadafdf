"""Pretraining without labels: from folders without classes to a backbone for any toolkit."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmpretrain  # noqa: F401, whose classifiers are students
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn

from tests.distillation.conftest import student_config, teacher_config

SWIN = dict(type='vit_plugin.SwinTransformer', window_size=2, out_indices=(1,), img_size=32,
            arch=dict(embed_dims=8, depths=(1, 1), num_heads=(1, 2)))
PIXELS = dict(mean=[10., 20., 30.], std=[50., 60., 70.], to_rgb=True)


def timm_vit(**changes: Any) -> dict:
    """A ViT with patches of 14, a class token and four registers, as DINOv2's."""
    return dict(type='timm.create_model', model_name='vit_small_patch14_reg4_dinov2', img_size=56,
                embed_dim=16, depth=1, num_heads=2, num_classes=0, checkpoint=None, **changes)


def unlabelled(**changes: Any) -> dict:
    return dict(dict(
        type='vit_plugin.Distilled', student_type='mmpretrain.ImageClassifier', labels=False,
        backbone=SWIN, data_preprocessor=PIXELS, teacher=timm_vit(resize=56),
        distillation=[dict(type='vit_plugin.FeatureDistillation'),
                      dict(type='vit_plugin.FeatureDistillation', teacher='norm')]), **changes)


@pytest.fixture
def run(image_folder: Path, tmp_path: Path) -> Callable[..., Runner]:
    def build(name: str, epochs: int, **changes: Any) -> Runner:
        pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=32),
                    dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]
        loader = dict(
            batch_size=4, num_workers=0, collate_fn=dict(type='default_collate'),
            sampler=dict(type='vit_plugin.SeededSampler',
                         sampler=dict(type='DefaultSampler', shuffle=True)),
            dataset=dict(type='vit_plugin.SeededDataset', dataset=dict(
                type='vit_plugin.ImageFolder', data_root=str(image_folder), with_label=False,
                pipeline=pipeline)))
        torch.manual_seed(0)
        return Runner(
            model=unlabelled(), work_dir=str(tmp_path / name), default_scope='mmpretrain',
            train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)), randomness=dict(seed=0),
            custom_hooks=[dict(type='vit_plugin.SeedHook'), dict(type='EMAHook', momentum=0.1)],
            default_hooks=dict(checkpoint=dict(type='vit_plugin.AtomicCheckpointHook')),
            experiment_name=f'{tmp_path}{name}', **changes)
    return build


def find_ema(runner: Runner) -> nn.Module:
    return next(hook.ema_model for hook in runner.hooks if hasattr(hook, 'ema_model'))


def test_resumed_run_goes_on_with_what_the_losses_learnt(run: Callable[..., Runner],
                                                         tmp_path: Path) -> None:
    whole = run('whole', 2)
    whole.train()
    first = run('first', 1)
    first.train()
    torch.manual_seed(9)  # a new process starts with other projections
    resumed = run('resumed', 2, load_from=str(tmp_path / 'first/epoch_1.pth'), resume=True)
    nn.init.ones_(resumed.model.distillation[0].project.weight)
    resumed.train()
    for one, other in zip(*((run.model, find_ema(run)) for run in (whole, resumed))):
        for (name, value), found in zip(one.named_parameters(), other.parameters()):
            assert torch.equal(value, found), name
    state = torch.load(tmp_path / 'resumed/epoch_2.pth', weights_only=False)['state_dict']
    assert all(key.startswith('backbone.') for key in state)


@pytest.mark.parametrize('toolkit', ['mmpretrain', 'mmdet', 'mmseg'])
def test_result_starts_a_backbone_of_any_toolkit(toolkit: str, tmp_path: Path) -> None:
    pytest.importorskip(toolkit)
    model = MODELS.build(unlabelled())
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'pretrained.pth')
    registry = __import__(f'{toolkit}.registry', fromlist=['MODELS']).MODELS
    backbone = registry.build(dict(SWIN, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth'))))
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[name]), name


def test_tokens_are_maps_without_their_class_and_registers() -> None:
    model = MODELS.build(unlabelled())
    images = torch.randn(2, 3, 32, 32)
    losses = model.loss(images)
    teacher = model.teacher.model
    pixels = model.teacher.pixels(images)
    assert pixels.shape == (2, 3, 56, 56)
    tokens = teacher.forward_features(pixels)
    assert tokens.shape == (2, 1 + 4 + 16, 16)
    grid = tokens[:, 5:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    feature = model.extract_feat(images)[0]
    first, second = model.distillation
    torch.testing.assert_close(losses['loss_distill_featuredistillation'],
                               first(feature, teacher(pixels)))
    torch.testing.assert_close(losses['loss_distill_featuredistillation_1'], second(feature, grid))
    assert set(losses) == {'loss_distill_featuredistillation', 'loss_distill_featuredistillation_1'}


def mean_colour(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(colour=x.mean((2, 3)), pixels=x)


@pytest.mark.parametrize(('teacher', 'tap', 'shape'), [
    (dict(function=f'{__name__}.mean_colour'), '[colour]', (2, 3)),
    (dict(function=f'{__name__}.mean_colour'), '[pixels]', (2, 3, 32, 32)),
    (dict(type='mmpretrain.ResNet', depth=18, checkpoint=None), '[0]', (2, 512, 1, 1)),
    (dict(type='mmpretrain.TIMMBackbone', model_name='test_resnet', checkpoint=None), None,
     (2, 96, 1, 1)),
    (dict(type='torchvision.models.squeezenet1_1', checkpoint=None), 'features.2',
     (2, 64, 7, 7)),
], ids=['entry', 'map', 'mmpretrain', 'timm in mmpretrain', 'torchvision'])
def test_anything_importable_teaches(teacher: dict, tap: str | None, shape: tuple) -> None:
    config = dict(teacher, data_preprocessor=dict(mean=[0.] * 3, std=[1.] * 3, to_rgb=True))
    model = MODELS.build(unlabelled(teacher=config, distillation=dict(
        type='vit_plugin.FeatureDistillation', teacher=tap)))
    images = torch.randn(2, 3, 32, 32)
    assert next(iter(model.teacher.outputs(images).values()))[0].shape == shape
    model.loss(images)['loss_distill'].backward()
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
    if 'function' in teacher and tap == '[colour]':  # RGB from 0 to 255
        mean, std = (torch.tensor(PIXELS[key]) for key in ('mean', 'std'))
        torch.testing.assert_close(model.teacher.outputs(images)[tap][0],
                                   images.mean((2, 3)) * std + mean)


def test_maps_with_channels_last_are_told_from_others() -> None:
    """timm's Swin puts out (B, h, w, C), and so do the stages inside of the plugin's."""
    teacher = dict(type='timm.create_model', model_name='swin_tiny_patch4_window7_224',
                   features_only=True, embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1),
                   window_size=2, img_size=64, resize=64, checkpoint=None)
    model = MODELS.build(unlabelled(
        backbone=dict(SWIN, drop_path_rate=0.), teacher=teacher, distillation=dict(
            type='vit_plugin.FeatureDistillation', student='backbone.stages.1', teacher='[1]')))
    assert model.distillation.project.weight.shape == (16, 16)
    images = torch.randn(2, 3, 32, 48)
    loss = model.loss(images)['loss_distill']
    teacher_map = model.teacher.model(model.teacher.pixels(images))[1].permute(0, 3, 1, 2)
    assert teacher_map.shape == (2, 16, 8, 8)
    seen = []
    model.backbone.stages[1].register_forward_hook(lambda *args: seen.append(args[2]))
    model.extract_feat(images)
    expected = model.distillation(seen[0].permute(0, 3, 1, 2), teacher_map)
    torch.testing.assert_close(loss, expected)


def test_types_may_be_classes(checkpoint: Path) -> None:
    """As in configs that import what they name."""
    from mmpretrain.models import ImageClassifier

    from vit_plugin.distillation import FeatureDistillation
    model = MODELS.build(unlabelled(
        student_type=ImageClassifier,
        teacher=teacher_config(type=ImageClassifier, checkpoint=str(checkpoint)),
        distillation=dict(type=FeatureDistillation, teacher='backbone')))
    assert model.loss(torch.randn(2, 3, 32, 32))['loss_distill'] > 0


def test_hugging_face_model_teaches(tmp_path: Path) -> None:
    transformers = pytest.importorskip('transformers')
    transformers.Dinov2Model(transformers.Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=56, patch_size=14)
    ).save_pretrained(tmp_path)
    (tmp_path / 'preprocessor_config.json').write_text(
        '{"image_processor_type": "BitImageProcessor", "image_mean": [0.4, 0.5, 0.6], '
        '"image_std": [0.1, 0.2, 0.3]}')
    teacher = dict(type='transformers.AutoModel.from_pretrained', checkpoint=None, resize=56,
                   pretrained_model_name_or_path=str(tmp_path))
    model = MODELS.build(unlabelled(teacher=teacher, distillation=[
        dict(type='vit_plugin.FeatureDistillation', teacher=tap)
        for tap in ('[pooler_output]', '[last_hidden_state]')]))
    seen = model.teacher.outputs(torch.randn(2, 3, 32, 32))
    assert [value[0].shape for value in seen.values()] == [(2, 8), (2, 17, 8)]
    assert model.distillation[1].project.weight.shape == (8, 16)


@pytest.mark.parametrize('broken', ['norm', 'dead'])
def test_features_that_do_not_vary_stop_the_run(broken: str) -> None:
    model = MODELS.build(unlabelled())
    teacher = model.teacher.model
    with torch.no_grad():
        if broken == 'dead':  # no pixel reaches the tokens
            nn.init.zeros_(teacher.patch_embed.proj.weight)
        else:
            nn.init.zeros_(teacher.norm.weight)
    same = torch.randn(1, 3, 32, 32).expand(2, -1, -1, -1)
    model.loss(same)  # which says nothing about the teacher
    with pytest.raises(ValueError, match='VisionTransformer puts out the same for different'):
        model.loss(torch.randn(2, 3, 32, 32))


def test_features_of_every_teacher_must_vary() -> None:
    model = MODELS.build(unlabelled(teacher=[timm_vit(resize=56), timm_vit(resize=56)]))
    nn.init.zeros_(model.teachers[1].model.norm.weight)
    with pytest.raises(ValueError, match='VisionTransformer puts out the same for different im'):
        model.loss(torch.randn(2, 3, 32, 32))


def test_features_that_are_no_numbers_stop_the_run() -> None:
    model = MODELS.build(unlabelled())
    model.teacher.model.norm.bias.data[3] = float('nan')
    with pytest.raises(ValueError, match='NaN or infinity'):
        model.loss(torch.randn(2, 3, 32, 32))


def test_students_with_a_head_need_labels() -> None:
    with pytest.raises(ValueError, match=r"trains no head, but the student has \['head"):
        MODELS.build(unlabelled(head=student_config()['head'], backbone=SWIN))
