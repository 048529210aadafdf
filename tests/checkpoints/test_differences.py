"""Where equal weights give other outputs than the source's, the load warns; elsewhere not."""
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import transformers
from torch import nn
from torchvision.models import SwinTransformer as TorchvisionSwin

from vit_plugin.backbones import SwinTransformer
from vit_plugin.checkpoints import load_pretrained

from .checkpoint_models import image, randomise, run

ARCH = dict(embed_dims=8, depths=(2, 2, 2), num_heads=(1, 2, 4))


def timm_swin(size: tuple[int, int], window: int) -> nn.Module:
    return timm.models.swin_transformer.SwinTransformer(
        img_size=size, window_size=window, embed_dim=8, depths=(2, 2, 2), num_heads=(1, 2, 4),
        num_classes=0)


def torchvision_swin(size: tuple[int, int], window: int) -> nn.Module:
    return TorchvisionSwin([4, 4], 8, [2, 2, 2], [1, 2, 4], [window, window], num_classes=5)


def maskformer_swin(size: tuple[int, int], window: int) -> nn.Module:
    return transformers.MaskFormerSwinBackbone(transformers.MaskFormerSwinConfig(
        image_size=size, embed_dim=8, depths=[2, 2, 2], num_heads=[1, 2, 4], window_size=window,
        out_features=['stage1', 'stage2', 'stage3']))


SOURCES = {'timm': timm_swin, 'torchvision': torchvision_swin, 'MaskFormer': maskformer_swin}
# Maps of three stages with windows of 4: 64 -> 16, 8, 4.
EQUAL, SHIFT, PAD, WINDOW = 'equal', 'shift of each axis', 'before padding', 'stage to stage'
CASES = [
    ('timm', (64, 64), EQUAL), ('timm', (128, 128), EQUAL), ('timm', (128, 192), EQUAL),
    ('timm', (64, 128), SHIFT), ('timm', (128, 64), SHIFT),
    ('timm', (96, 96), EQUAL), ('timm', (160, 96), EQUAL),
    ('timm', (72, 72), PAD), ('timm', (80, 80), PAD), ('timm', (128, 144), PAD),
    ('timm', (48, 48), WINDOW), ('timm', (32, 32), WINDOW), ('timm', (40, 40), WINDOW),
    ('torchvision', (64, 64), EQUAL), ('torchvision', (72, 72), EQUAL),
    ('torchvision', (48, 48), EQUAL), ('torchvision', (128, 144), EQUAL),
    ('torchvision', (64, 128), SHIFT), ('torchvision', (72, 48), SHIFT),
    ('MaskFormer', (128, 128), EQUAL), ('MaskFormer', (144, 200), EQUAL),
    ('MaskFormer', (64, 64), 'pad_small_map=True'), ('MaskFormer', (48, 128), 'pad_small_map=True'),
]


# Windows of 7, as published: 224 -> 56, 28, 14.
CASES = [*((*case, 4) for case in CASES), ('timm', (224, 224), EQUAL, 7),
         ('timm', (256, 256), PAD, 7), ('torchvision', (256, 256), EQUAL, 7)]


@pytest.mark.parametrize(('source', 'size', 'reason', 'window'), CASES)
def test_warns_where_outputs_differ(source: str, size: tuple[int, int], reason: str, window: int,
                                    tmp_path: Path, log: Callable) -> None:
    theirs = randomise(SOURCES[source](size, window))
    ours = SwinTransformer(ARCH, size, window_size=window, out_indices=(0, 1, 2)).eval()
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    load_pretrained(ours, tmp_path / 'a.pth')
    outputs = run(theirs, image(size))[0]
    equal = all(torch.allclose(a.flatten(1), b.flatten(1), rtol=1e-4, atol=1e-5 * b.abs().max())
                for a, b in zip(outputs, run(ours, image(size))[0]))
    record, = log()
    assert equal == (reason == EQUAL)
    assert (record.levelno == logging.WARNING) == (not equal)
    assert equal or reason in record.getMessage()
    assert f"outputs {'equal' if equal else 'differ from'} the source's" in record.getMessage()


@pytest.mark.parametrize('source', ['timm', 'torchvision', 'MaskFormer'])
def test_pad_small_map_is_the_users_choice(source: str, tmp_path: Path, log: Callable) -> None:
    """Shifting as mmdet and mmseg do is no difference that anybody must be told."""
    torch.save(SOURCES[source]((64, 64), 4).state_dict(), tmp_path / 'a.pth')
    ours = SwinTransformer(ARCH, (64, 128), window_size=4, pad_small_map=True,
                           out_indices=(0, 1, 2))
    load_pretrained(ours, tmp_path / 'a.pth')
    record, = log()
    assert record.levelno == logging.INFO


def test_message_names_sizes(tmp_path: Path, log: Callable) -> None:
    for size in ((48, 48), (64, 64)):
        torch.save(timm_swin(size, 4).state_dict(), tmp_path / 'a.pth')
        load_pretrained(SwinTransformer(ARCH, (48, 96), window_size=4, out_indices=2),
                        tmp_path / 'a.pth')
    smaller, other = (record.getMessage() for record in log())
    assert 'the windows 4x4, 3x3 of the source differ from stage to stage, all are 4x4' in smaller
    assert 'img_size=(48, 96), on maps of 3x6 with windows of 4x4' in other


def test_another_window_is_the_users_choice(tmp_path: Path, log: Callable) -> None:
    torch.save(timm_swin((64, 64), 4).state_dict(), tmp_path / 'a.pth')
    load_pretrained(SwinTransformer(ARCH, (72, 48), window_size=6, out_indices=2),
                    tmp_path / 'a.pth')
    record, = log()
    assert record.levelno == logging.INFO
    assert "the source's" not in record.getMessage()
