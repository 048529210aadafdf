"""Any input size gives ceil(H / stride), and at 224 what timm gives."""
from math import ceil

import pytest
import timm.models.deit
import timm.models.swin_transformer
import timm.models.vision_transformer
import torch
from registered import Case, assert_close, flatten, gradients, image, trainable
from torch import Tensor

from vit_plugin.backbones import DeiT, DINOv2, DistilledDeiT, SwinTransformer

# odd, not square, one pixel, smaller than a patch or a window, larger than the embedding
SIZES = [(16, 16), (1, 1), (3, 50), (17, 31), (65, 40), (224, 224), (223, 257), (800, 1333)]


def strides(case: Case) -> list[int]:
    """Of every output, measured where all divide the image."""
    with torch.no_grad():
        return [448 // x.shape[2] for x in flatten(case.build()(image(1, 448, 448)))
                if x.ndim == 4]


def test_shapes(case: Case) -> None:
    """Stock: mmpretrain's Swin refuses maps smaller than a window."""
    every = dict(case.arguments, out_indices=tuple(range(case.depth)))
    case = Case(case.cls, every, case.depth)
    model, scales = case.build().eval(), strides(case)
    first = None
    with torch.no_grad():
        for height, width in [*SIZES, SIZES[0]]:
            maps = flatten(model(image(1, height, width)))
            assert all(x.isfinite().all() for x in maps)
            sizes = [tuple(x.shape[2:]) for x in maps if x.ndim == 4]
            assert sizes == [(ceil(height / s), ceil(width / s)) for s in scales]
            first = first or maps
        assert_close(maps, first, 0)  # nothing of the sizes in between is left


def test_strides(case: Case) -> None:
    if issubclass(case.cls, SwinTransformer):
        assert strides(case) == [4, 8, 16, 32]
    elif issubclass(case.cls, DeiT):
        stride = 14 if issubclass(case.cls, DINOv2) else 16
        assert strides(case) == ([stride] if case.arguments['out_type'] == 'featmap' else [])


@pytest.mark.parametrize('size', [(48, 48), (75, 90)])
def test_batch_sizes(case: Case, size: tuple[int, int]) -> None:
    """Stock Swin cannot reshape a batch of 0."""
    model = case.build().eval()
    images = image(3, *size)
    with torch.no_grad():
        together = flatten(model(images))
        alone = [flatten(model(one)) for one in images.split(1)]
        empty = flatten(model(images[:0]))
    assert_close([torch.cat(xs) for xs in zip(*alone)], together, 1e-5)
    assert [x.shape for x in empty] == [(0, *x.shape[1:]) for x in together]


def test_batch_of_none_trains(case: Case) -> None:
    """A rank without images must not make DDP wait for gradients."""
    model = case.build(drop_path_rate=0.2).train()
    sum(x.sum() for x in flatten(model(image(0, 75, 90)))).backward()
    assert gradients(model).keys() == trainable(model)
    assert all((gradient == 0).all() for gradient in gradients(model).values())


def rename(weights: dict[str, Tensor], swin: bool) -> dict[str, Tensor]:
    """timm's keys to OpenMMLab's."""
    renamed = {}
    for key, value in weights.items():
        if swin and key.startswith('layers.'):
            _, stage, part, *rest = key.split('.')
            if part == 'downsample':  # timm's stand before the stage, ours after the one before
                stage = str(int(stage) - 1)
                # from (column, row, channel) to (channel, row, column)
                value = value.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3)
            key = '.'.join(('stages', stage, part, *rest)).replace('attn.', 'attn.w_msa.')
        for theirs, ours in (('proj.', 'projection.'),) if key.startswith('patch_embed') else (
                ('mlp.fc1', 'ffn.layers.0.0'), ('mlp.fc2', 'ffn.layers.1')):
            key = key.replace(theirs, ours)
        if not swin:
            for theirs, ours in (('norm1', 'ln1'), ('norm2', 'ln2'), ('norm.', 'ln1.'),
                                 ('blocks.', 'layers.')):
                key = key.replace(theirs, ours)
        renamed['norm3' + key.removeprefix('norm') if swin and key.startswith('norm.') else key] \
            = value
    return renamed


def randomise(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            offset = 1. if value.ndim == 1 and name.endswith('weight') else 0.
            value.copy_(offset + 0.2 * torch.randn(value.shape, generator=generator))


@pytest.mark.parametrize(('cls', 'theirs'), [
    (DeiT, timm.models.vision_transformer.VisionTransformer),
    (DistilledDeiT, timm.models.deit.VisionTransformerDistilled)])
def test_deit_equals_timm(cls: type, theirs: type) -> None:
    stock = theirs(embed_dim=32, depth=3, num_heads=4, mlp_ratio=2, num_classes=0).eval()
    randomise(stock)
    ours = cls(dict(embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=64)).eval()
    ours.load_state_dict(rename(stock.state_dict(), swin=False))
    with torch.no_grad():
        features = stock.forward_features(image(2, 224, 224))
        actual = flatten(ours(image(2, 224, 224)))
    assert_close(actual, [features[:, i] for i in range(len(actual))], 1e-5)


def test_swin_equals_timm() -> None:
    stock = timm.models.swin_transformer.SwinTransformer(
        embed_dim=24, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), num_classes=0).eval()
    randomise(stock)
    ours = SwinTransformer(dict(embed_dims=24, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8)),
                           out_indices=3).eval()
    missing, unexpected = ours.load_state_dict(rename(stock.state_dict(), swin=True), strict=False)
    assert not unexpected
    assert all(key.endswith('relative_position_index') for key in missing)
    with torch.no_grad():
        expected = stock.forward_features(image(2, 224, 224)).permute(0, 3, 1, 2)
        assert_close([*ours(image(2, 224, 224))], [expected], 1e-5)
