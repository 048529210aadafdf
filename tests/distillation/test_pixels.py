"""The teacher gets the pixels that it was trained on, or is refused."""
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from tests.distillation.conftest import CLASSES, student_config, teacher_config
from vit_plugin.distillation.pixels import convert_pixels
from vit_plugin.distillation.teacher import build_teacher

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def timm(name: str = 'test_resnet', **changes: Any) -> dict:
    return dict(type='TimmClassifier', model_name=name, num_classes=CLASSES, checkpoint=None,
                **changes)


def timm_vit(img_size: int, **changes: Any) -> dict:
    return timm('vit_base_patch32_clip_224', img_size=img_size, embed_dim=16, depth=1, num_heads=1,
                **changes)


@pytest.fixture
def hugging_face(tmp_path: Path) -> Any:
    """A ViT for 32 pixels in Hugging Face's files; its processor's are as given."""
    transformers = pytest.importorskip('transformers')

    def save(**processor: Any) -> dict:
        config = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                                        intermediate_size=8, image_size=32, patch_size=8,
                                        num_labels=CLASSES)
        transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
        if processor:
            (tmp_path / 'preprocessor_config.json').write_text(json.dumps(
                dict(image_processor_type='ViTImageProcessor', **processor)))
        return dict(type='HuggingFaceClassifier', model_name=str(tmp_path), pretrained=True,
                    checkpoint=None)
    return save


def preprocessor(**changes: Any) -> torch.nn.Module:
    return MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', **changes))


def raw_images(size: int = 32) -> Tensor:
    """BGR, as mmcv reads them."""
    return torch.randint(0, 256, (2, 3, size, size), generator=torch.Generator().manual_seed(0))


def check_scores(config: dict, mean: list[float], std: list[float]) -> None:
    """RGB from 0 to 1 with the library's normalisation gives the scores."""
    student = preprocessor(mean=[10., 20., 30.], std=[50., 60., 70.])  # BGR
    teacher = build_teacher(config, student)
    raw = raw_images()
    own = raw.flip(1) / 255
    own = (own - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = teacher.model(own, mode='tensor')
    torch.testing.assert_close(teacher(student({'inputs': raw})['inputs']), expected,
                               rtol=1e-4, atol=1e-4)
    assert expected.std() > 1e-3


@pytest.mark.parametrize(('config', 'mean', 'std'), [
    (timm('resnet18'), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    (timm(), [0.5] * 3, [0.5] * 3),
    (timm_vit(32), [0.48145466, 0.4578275, 0.40821073],
     [0.26862954, 0.26130258, 0.27577711]),
])
def test_timm_knows_its_pixels(config: dict, mean: list[float], std: list[float]) -> None:
    check_scores(config, mean, std)
    check_scores(dict(config, data_preprocessor=dict(to_rgb=False)), mean, std)


def test_hugging_face_knows_its_pixels(hugging_face: Any) -> None:
    check_scores(hugging_face(image_mean=[0.4, 0.5, 0.6], image_std=[0.1, 0.2, 0.3]),
                 [0.4, 0.5, 0.6], [0.1, 0.2, 0.3])
    check_scores(hugging_face(do_normalize=False), [0.] * 3, [1.] * 3)


def processor_files(folder: Path, kind: str, **settings: Any) -> Any:
    """A model that says where its processor's file is."""
    if not hasattr(pytest.importorskip('transformers'), kind):
        pytest.skip(f'{kind} came later')
    (folder / 'preprocessor_config.json').write_text(json.dumps(
        dict(image_processor_type=kind, **settings)))
    model = torch.nn.Identity()
    model.config = SimpleNamespace(_name_or_path=str(folder))
    return model


@pytest.mark.parametrize(('kind', 'settings'), [
    ('EfficientNetImageProcessor', dict(rescale_factor=1 / 127.5, rescale_offset=True,
                                        include_top=True, image_mean=[0.485, 0.456, 0.406],
                                        image_std=[0.47853944, 0.4732864, 0.47434163])),
    ('EfficientNetImageProcessorFast', dict(rescale_offset=False, include_top=True)),
    ('MobileViTImageProcessor', {}),  # BGR
    ('MobileViTImageProcessor', dict(do_flip_channel_order=False, do_rescale=False)),
    ('ConvNextImageProcessor', dict(size=dict(shortest_edge=224), crop_pct=0.875)),
    ('LevitImageProcessor', dict(size=dict(shortest_edge=224))),
    ('VideoMAEImageProcessor', dict(image_mean=[0.1, 0.5, 0.9])),
])
def test_processors_answer_for_themselves(kind: str, settings: dict, tmp_path: Path) -> None:
    """Pixels are those that the processor makes of an image that it does not resize."""
    transformers = pytest.importorskip('transformers')
    model = processor_files(tmp_path, kind, **settings)
    student = preprocessor(mean=[10., 20., 30.], std=[50., 60., 70.])  # BGR
    raw = raw_images(48)
    found = convert_pixels(student, model)(student({'inputs': raw})['inputs'])
    processor = getattr(transformers, kind)(**settings)
    for image, pixels in zip(raw.flip(1).byte(), found):
        expected = processor(image.permute(1, 2, 0).numpy(), do_resize=False,
                             do_center_crop=False, return_tensors='pt')['pixel_values']
        torch.testing.assert_close(pixels, expected.flatten(0, -4)[0].float(), rtol=1e-3, atol=1e-3)


def test_timm_behind_hugging_face(tmp_path: Path) -> None:
    """Its processor has no attributes to read."""
    transformers = pytest.importorskip('transformers', '4.49')
    pixels = dict(input_size=[3, 32, 32], mean=[0.4, 0.5, 0.6], std=[0.1, 0.2, 0.3],
                  interpolation='bicubic', crop_pct=0.9)
    config = transformers.TimmWrapperConfig(architecture='test_resnet', num_labels=CLASSES,
                                            pretrained_cfg=pixels)
    transformers.TimmWrapperForImageClassification(config).save_pretrained(tmp_path)
    check_scores(dict(type='HuggingFaceClassifier', model_name=str(tmp_path), pretrained=True,
                      checkpoint=None), pixels['mean'], pixels['std'])


@pytest.mark.parametrize(('kind', 'settings', 'reason'), [
    ('Siglip2ImageProcessor', {}, r'makes pixels of the shape \(1, 256, 768\) of an image'),
    ('ImageGPTImageProcessor', dict(clusters=[[-1., -1., -1.], [1., 1., 1.]]),
     'makes no pixels of one'),
    ('SuperPointImageProcessor', dict(do_grayscale=True), 'makes .* of the colours'),
])
def test_processors_that_do_more_are_named(kind: str, settings: dict, reason: str, tmp_path: Path
                                           ) -> None:
    model = processor_files(tmp_path, kind, **settings)
    with pytest.raises(ValueError, match=f'{kind} {reason}.*add data_preprocessor='):
        convert_pixels(preprocessor(**IMAGENET), model)


def test_misspelt_pixels(checkpoint: Path) -> None:
    config = dict(type='torchvision.models.resnet18', checkpoint=None,
                  data_preprocessor=dict(IMAGENET, to_rgp=True))
    with pytest.raises(ValueError, match=r"has no 'to_rgp'\. Did you mean 'to_rgb'"):
        build_teacher(config, preprocessor())


def test_what_is_given_stays(checkpoint: Path) -> None:
    config = timm('resnet18', data_preprocessor=dict(mean=[0.] * 3, std=[1.] * 3))
    student = preprocessor(**IMAGENET, to_rgb=True)
    teacher, raw = build_teacher(config, student), raw_images()
    torch.testing.assert_close(teacher(student({'inputs': raw})['inputs']),
                               teacher.model(raw.float()), rtol=1e-3, atol=1e-3)


def test_data_preprocessor_that_mmpretrain_has_used(checkpoint: Path) -> None:
    """It writes its ``type`` and ``batch_augments`` into the config that it is given."""
    pixels = dict(IMAGENET, to_rgb=True, num_classes=2)
    mixup = dict(augments=[dict(type='Mixup', alpha=0.8)])
    MODELS.build(dict(type='mmpretrain.ImageClassifier', backbone=dict(type='ResNet', depth=18),
                      data_preprocessor=pixels, train_cfg=mixup))
    assert {'type', 'batch_augments'} <= pixels.keys()
    config = dict(type='torchvision.models.resnet18', checkpoint=None, data_preprocessor=pixels)
    teacher, raw = build_teacher(config, preprocessor()), raw_images()
    own = MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', **IMAGENET, to_rgb=True))
    torch.testing.assert_close(teacher(raw.float()), teacher.model(own({'inputs': raw})['inputs']))


@pytest.mark.parametrize('kind', ['ImageClassifier', 'to_rgb alone', 'Hugging Face'])
def test_silent_teacher_of_a_normalised_student_is_refused(
        kind: str, checkpoint: Path, hugging_face: Any) -> None:
    config = dict(teacher_config(checkpoint=checkpoint))
    del config['data_preprocessor']
    if kind == 'to_rgb alone':
        config['data_preprocessor'] = dict(to_rgb=True)
    elif kind == 'Hugging Face':
        config = hugging_face()
    with pytest.raises(ValueError, match=r'(ImageClassifier|HuggingFaceClassifier) does not say.*'
                                         r"student's are, with mean=\[10.*add data_preprocessor="):
        MODELS.build(student_config(teacher=config))


def test_two_silent_ones_see_the_same_pixels(checkpoint: Path) -> None:
    config = dict(teacher_config(checkpoint=checkpoint))
    del config['data_preprocessor']
    teacher = build_teacher(config, preprocessor())
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(teacher(image), teacher.model(image))


@pytest.mark.parametrize(('resize', 'size'), [(160, (160, 160)), ((48, 64), (48, 64))])
def test_resized_for_the_teacher_alone(resize: Any, size: tuple, batch: tuple) -> None:
    config = timm_vit(160) if resize == 160 else timm()
    config['data_preprocessor'] = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
    student = MODELS.build(student_config(teacher=dict(config, resize=resize)))
    seen = []
    student.teacher.model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    losses = student.loss(*batch)
    assert losses['loss_distill'].isfinite()
    pixels = F.interpolate(batch[0], size, mode='bilinear', antialias=True)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in ([10., 20., 30.], [50., 60., 70.]))
    torch.testing.assert_close(seen[-1], (pixels * std + mean) / 127.5 - 1, rtol=1e-4, atol=1e-4)


def test_another_size_is_named_at_build(hugging_face: Any) -> None:
    with pytest.raises(ValueError, match=r'images of 160x160 pixels and cannot take the 32x32.*'
                                         r'resize=160'):
        MODELS.build(student_config(teacher=timm_vit(160)))
    backbone = dict(student_config()['backbone'], img_size=64)
    teacher = hugging_face(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    with pytest.raises(ValueError, match=r'images of 32x32 pixels and cannot take the 64x64'):
        MODELS.build(student_config(teacher=teacher, backbone=backbone))
    with pytest.raises(ValueError, match=r'160x160 pixels and cannot take the 48x48'):
        MODELS.build(student_config(teacher=timm_vit(160, resize=48)))
    with pytest.raises(ValueError, match=r"resize='big' of the teacher"):
        MODELS.build(student_config(teacher=timm_vit(160, resize='big')))


def test_another_size_is_named_at_the_first_images(batch: tuple) -> None:
    """A Swin's size is not known before."""
    student = MODELS.build(student_config(
        teacher=timm_vit(160), neck=dict(type='GlobalAveragePooling'),
        backbone=dict(type='vit_plugin.SwinTransformer', window_size=2, out_indices=1,
                      arch=dict(embed_dims=8, depths=(1, 1), num_heads=(1, 2))),
        head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=16)))
    with pytest.raises(ValueError, match=r'160x160 pixels and cannot take the 32x32.*resize=160'):
        student.loss(*batch)
