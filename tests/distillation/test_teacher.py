"""The teacher: frozen, in evaluation mode, on its own pixels, from every kind of config."""
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from vit_plugin.distillation.teacher import build_teacher

from .conftest import student_config, teacher_config


def preprocessor(**changes: object) -> torch.nn.Module:
    config = dict(type='mmpretrain.ClsDataPreprocessor', **student_config()['data_preprocessor'])
    return MODELS.build({**config, **changes})


@pytest.mark.parametrize('changes', [{}, dict(mean=[5., 6., 7.], std=[30., 31., 32.]),
                                     dict(to_rgb=False), dict(mean=None, std=None)])
def test_sees_its_own_pixels(checkpoint: Path, changes: dict) -> None:
    """Raw pixels through the student's preprocessor reach the teacher as through its own."""
    if 'mean' in changes and changes['mean'] is None:
        pixels = MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', to_rgb=True))
    else:
        pixels = preprocessor(**changes)
    teacher = build_teacher({**teacher_config(), 'checkpoint': checkpoint}, pixels)
    raw = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    own = teacher.model.data_preprocessor({'inputs': raw})['inputs']
    scores = teacher(pixels({'inputs': raw})['inputs'])
    assert torch.allclose(scores, teacher.model(own), atol=1e-4)


def test_stays_frozen_and_in_evaluation_mode(checkpoint: Path, batch: tuple) -> None:
    student = MODELS.build(student_config(teacher={**teacher_config(), 'checkpoint': checkpoint}))
    before = {k: v.clone() for k, v in student.teacher.model.state_dict().items()}
    student.train()
    sum(v for k, v in student.loss(*batch).items() if 'loss' in k).backward()
    assert not any(module.training for module in student.teacher.model.modules())
    assert all(p.grad is None and not p.requires_grad for p in student.teacher.model.parameters())
    for name, value in student.teacher.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_runs_under_the_students_autocast(checkpoint: Path, batch: tuple) -> None:
    student = MODELS.build(student_config(teacher={**teacher_config(), 'checkpoint': checkpoint}))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert student.teacher(batch[0]).dtype == torch.bfloat16
        losses = student.loss(*batch)
    assert losses['loss_distill'].dtype == torch.float32


def test_from_a_config_file(checkpoint: Path, tmp_path: Path) -> None:
    config = teacher_config()
    pixels = config.pop('data_preprocessor')
    path = tmp_path / 'teacher.py'
    path.write_text(f'model = {config!r}\ndata_preprocessor = {pixels!r}\n'
                    f'load_from = {str(checkpoint)!r}\n')
    expected = build_teacher({**teacher_config(), 'checkpoint': checkpoint}, preprocessor())
    image = torch.randn(1, 3, 32, 32)
    for given in (str(path), path, dict(config=str(path), checkpoint=checkpoint),
                  dict(config=teacher_config(), checkpoint=checkpoint)):
        assert torch.equal(build_teacher(given, preprocessor())(image), expected(image))


def test_config_of_a_toolkit_brings_its_scope() -> None:
    """Also where the student is of another toolkit."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        teacher = build_teacher(dict(config='mmpretrain::resnet/resnet18_8xb16_cifar10.py',
                                     checkpoint=None), preprocessor(), scope='mmdet')
    assert teacher(torch.randn(1, 3, 32, 32)).shape == (1, 10)
    assert teacher.pixels.flip  # RGB and BGR


def test_timm_teacher_brings_its_weights() -> None:
    config = dict(type='TimmClassifier', model_name='test_resnet', num_classes=5, checkpoint=None)
    teacher = build_teacher(config, preprocessor())
    assert teacher(torch.randn(1, 3, 32, 32)).shape == (1, 5)


def test_library_weights_stay(tmp_path: Path) -> None:
    """mmengine's ``init_weights`` calls that of timm's ViT, which starts from random weights."""
    timm, transformers = pytest.importorskip('timm'), pytest.importorskip('transformers')
    expected = timm.create_model('test_vit', num_classes=5)
    torch.save(expected.state_dict(), tmp_path / 'vit.pth')
    teacher = build_teacher(dict(type='TimmClassifier', model_name='test_vit', num_classes=5,
                                 checkpoint_path=str(tmp_path / 'vit.pth'), checkpoint=None),
                            preprocessor())
    for name, value in expected.state_dict().items():
        assert torch.equal(teacher.model.model.state_dict()[name], value), name

    expected = transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        num_labels=5))
    expected.save_pretrained(tmp_path)
    teacher = build_teacher(dict(type='HuggingFaceClassifier', model_name=str(tmp_path),
                                 pretrained=True, checkpoint=None,
                                 data_preprocessor=teacher_config()['data_preprocessor']),
                            preprocessor())
    for name, value in expected.state_dict().items():
        assert torch.equal(teacher.model.model.state_dict()[name], value), name


def test_clear_errors(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ValueError, match='teacher must be'):
        build_teacher(3, preprocessor())
    with pytest.raises(ValueError, match=r"has no 'resise'\. Did you mean 'resize'"):
        build_teacher(dict(config='a.py', checkpoint='a.pth', resise=32), preprocessor())
    with pytest.raises(FileNotFoundError, match=r'absent\.py'):
        build_teacher(str(tmp_path / 'absent.py'), preprocessor())
    other = teacher_config(head=dict(type='LinearClsHead', num_classes=6, in_channels=32))
    with pytest.raises(ValueError, match='does not fit its config'):
        build_teacher({**other, 'checkpoint': checkpoint}, preprocessor())
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r'broken\.pth'):
        build_teacher({**teacher_config(), 'checkpoint': broken}, preprocessor())
