"""Every detection and segmentation config: its size as published, and a whole tiny run."""
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.conftest import ROOT
from tests.shrink import own_backbone, shrunk
from vit_plugin.export.tasks import deploy
from vit_plugin.training.autocast import AutocastOptimWrapper

CONFIGS = sorted(path for task in ('detection', 'segmentation')
                 for path in (ROOT / 'configs' / task).glob('*.py'))
# Parameters in millions: Swin paper, tables 2 and 3; Mask R-CNN from the README of
# microsoft/Swin-Transformer.
PUBLISHED = {
    'mask-rcnn_swin-tiny': 48, 'mask-rcnn_swin-small': 69, 'cascade-mask-rcnn_swin-tiny': 86,
    'cascade-mask-rcnn_swin-small': 107, 'cascade-mask-rcnn_swin-base': 145, 'atss_swin-tiny': 36,
    'upernet_swin-tiny': 60, 'upernet_swin-small': 81, 'upernet_swin-base_': 121,
    'upernet_swin-large': 234}

# The toolkits' configs of the same recipe.
STOCK = {
    'mask-rcnn_swin-tiny_fpn_1x_coco': 'mmdet swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco',
    'mask-rcnn_swin-tiny_fpn_ms-3x_coco': 'mmdet swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco',
    'retinanet_swin-tiny_fpn_1x_coco': 'mmdet swin/retinanet_swin-t-p4-w7_fpn_1x_coco',
    **{f'upernet_swin-{size}_160k_ade20k-512x512':
       f'mmseg swin/swin-{size}-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512'
       for size in ('tiny', 'small', 'base')},
    **{f'upernet_deit-{size}-mln_160k_ade20k-512x512':
       f'mmseg vit/vit_deit-{size[0]}16-ln_mln_upernet_8xb2-160k_ade20k-512x512'
       for size in ('small', 'base')}}


def build(cfg: Config) -> torch.nn.Module:
    own_backbone(cfg.model.get('module', cfg.model))
    init_default_scope(cfg.default_scope)
    import_module(f'{cfg.default_scope}.models')
    return import_module(f'{cfg.default_scope}.registry').MODELS.build(cfg.model)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_full_size_has_the_published_parameters(path: Path) -> None:
    cfg = Config.fromfile(path)
    assert cfg.default_hooks.check.type == 'vit_plugin.CheckHook'
    with torch.device('meta'):
        model = build(cfg)
    count = sum(parameter.numel() for parameter in model.parameters())
    published = [size for name, size in PUBLISHED.items() if path.stem.startswith(name)]
    unpublished = ('deit', 'retinanet', 'in22k', 'swinv2', 'dino')
    assert published or any(word in path.stem for word in unpublished)
    for size in published:
        assert round(count / 1e6) == size
    if 'detection' in path.parts:
        assert deploy(model).task == 'detection'  # `vit-plugin export` takes it


@pytest.mark.parametrize('name', STOCK)
def test_recipe_is_the_toolkits_own(name: str) -> None:
    """The same but for the backbone, what is float32 in mixed precision, and RetinaNet's optimizer
    (see its header).
    """
    toolkit, stock = STOCK[name].split()
    configs = Path(import_module(toolkit).__file__).parent / '.mim/configs'
    theirs = Config.fromfile(configs / f'{stock}.py')
    ours = Config.fromfile(next(path for path in CONFIGS if path.stem == name))
    for cfg in (ours, theirs):
        cfg.model = {key: part for key, part in comparable(cfg.model).items()
                     if key not in ('backbone', 'pretrained')}
    assert ours.model.to_dict() == theirs.model.to_dict()
    if 'retinanet' not in name:
        assert ours.optim_wrapper.optimizer == theirs.optim_wrapper.optimizer
        assert ours.param_scheduler == theirs.param_scheduler


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_header_names_its_own_command(path: Path) -> None:
    header = path.read_text().split('\n_base_')[0]
    assert f'configs/{path.parent.name}/{path.name}' in header
    assert 'Published: ' in header


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_trains_two_iterations_and_evaluates(
        path: Path, tool: Callable[..., None], tmp_path: Path, coco: Path, ade: Path,
        capfd: pytest.CaptureFixture) -> None:
    cfg = shrunk(path, coco if path.parent.name == 'detection' else ade)
    config, work = tmp_path / f'dense_{path.stem.replace("-", "_")}.py', tmp_path / 'work'
    cfg.dump(config)
    if cfg.model.type == 'SegTTAModel':  # for evaluation alone
        checkpoint = tmp_path / 'random.pth'
        torch.save(dict(state_dict=build(cfg).module.state_dict()), checkpoint)
        tool('test', config, checkpoint, '--work-dir', work)
    else:
        tool('train', config, '--work-dir', work)
        saved = torch.load((work / 'last_checkpoint').read_text(), weights_only=False)
        assert saved['message_hub']['runtime_info']['iter'] == 1
    output = ''.join(capfd.readouterr())
    metrics = ['mIoU:']
    if path.parent.name == 'detection':
        metrics = ['coco/bbox_mAP:', 'coco/segm_mAP:'][:2 if 'mask' in path.stem else 1]
    for metric in metrics:
        assert output.count(metric) == 1, output[-2000:]


@pytest.mark.parametrize('name', [
    'mask-rcnn_swin-tiny_fpn_1x_coco', 'cascade-mask-rcnn_swin-tiny_fpn_ms-3x_coco',
    'retinanet_swin-tiny_fpn_1x_coco', 'atss_swin-tiny_fpn_ms-3x_coco',
    'mask-rcnn_deit-small_lsj-50e_coco', 'upernet_swin-tiny_160k_ade20k-512x512',
    'upernet_deit-small_160k_ade20k-512x512'])
def test_learns_in_bfloat16(name: str, coco: Path, ade: Path) -> None:
    """What --amp does to a step of each kind of model.

    With mmdet's RPN head: expected scalar type Float but found BFloat16, in NMS; with its
    extractor: "ROIAlign_forward" not implemented for 'BFloat16'.
    """
    path = next(path for path in CONFIGS if path.stem == name)
    cfg = shrunk(path, coco if path.parent.name == 'detection' else ade)
    model = build(cfg)
    model.init_weights()
    data = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    # oneDNN (torch 2.13, AVX512_BF16) leaves weight gradients of convolutions unwritten where the
    # map is one pixel wide and the stride 2, as the last ones of FPN are on these tiny images.
    wrapper = AutocastOptimWrapper(torch.optim.AdamW(model.parameters()))
    with torch.backends.mkldnn.flags(enabled=False):
        with wrapper.optim_context(model):
            losses = model(**model.data_preprocessor(data, training=True), mode='loss')
        loss, _ = model.parse_losses(losses)
        loss.backward()
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def comparable(value: Any) -> Any:
    """A part of a config as the toolkit would write it: Float32 parts are its own, and
    ``requires_grad=True`` is the default.
    """
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()
                if (key, item) != ('requires_grad', True)}
    if isinstance(value, str) and value.startswith('vit_plugin.Float32'):
        return value.replace('vit_plugin.Float32RoI', 'SingleRoI').removeprefix(
            'vit_plugin.Float32')
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    return value
