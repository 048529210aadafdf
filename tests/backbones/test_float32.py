"""In float32 these are mmdet's; in bfloat16 they keep what bfloat16 would round."""
import pytest
import torch
from mmdet.models.dense_heads import ATSSHead, RetinaHead, RPNHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from vit_plugin.backbones.float32 import (
    Float32ATSSHead,
    Float32RetinaHead,
    Float32RoIExtractor,
    Float32RPNHead,
)

HEAD = dict(in_channels=4, feat_channels=4, anchor_generator=dict(
    type='mmdet.AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8]))
ONE_STAGE = dict(stacked_convs=1, feat_channels=32, anchor_generator=dict(
    type='mmdet.AnchorGenerator', octave_base_scale=8, scales_per_octave=1, ratios=[1.0],
    strides=[4, 8]))
EXTRACTOR = dict(roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=0), out_channels=4,
                 featmap_strides=[4, 8])


def maps() -> tuple[torch.Tensor, ...]:
    return torch.randn(1, 4, 300, 300), torch.randn(1, 4, 150, 150)


def test_rpn_head() -> None:
    theirs, ours = RPNHead(**HEAD), Float32RPNHead(**HEAD)
    ours.load_state_dict(theirs.state_dict())
    feats = maps()
    expected = theirs(feats)
    torch.testing.assert_close(ours(feats), expected)
    with torch.autocast('cpu', torch.bfloat16):
        found = ours(tuple(feat.bfloat16() for feat in feats))
    assert all(out.dtype == torch.float32 for outs in found for out in outs)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize(('stock', 'plugin'), [(RetinaHead, Float32RetinaHead),
                                               (ATSSHead, Float32ATSSHead)])
def test_one_stage_head_gives_its_loss_float32(stock: type, plugin: type) -> None:
    theirs, ours = stock(2, 4, **ONE_STAGE), plugin(2, 4, **ONE_STAGE)
    ours.load_state_dict(theirs.state_dict())
    feats = maps()
    expected = theirs(feats)
    torch.testing.assert_close(ours(feats), expected)
    with torch.autocast('cpu', torch.bfloat16):
        found = ours(feats)
        assert theirs(feats)[0][0].dtype == torch.bfloat16
    assert all(out.dtype == torch.float32 for outs in found for out in outs)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def test_roi_extractor_keeps_coordinates() -> None:
    theirs, ours = SingleRoIExtractor(**EXTRACTOR), Float32RoIExtractor(**EXTRACTOR)
    feats = maps()
    boxes = torch.tensor([[0, 1001.3, 903.7, 1041.9, 949.1]])
    expected = theirs(feats, boxes)
    assert torch.equal(ours(feats, boxes), expected)
    half = tuple(feat.bfloat16() for feat in feats)
    found = ours(half, boxes)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    rounded = theirs(feats, boxes.bfloat16().float())
    assert (rounded - expected).abs().max() > 0.1  # what rounding the boxes would have done
