"""tools/train.py and tools/test.py on stock-style configs of all three toolkits."""
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.conftest import needs

SWIN = """dict(type='vit_plugin.SwinTransformer', _delete_=True, pad_small_map={dense},
    arch=dict(embed_dims=8, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8)))"""
DEIT = """dict(type='vit_plugin.{name}', _delete_=True, img_size=64, out_type='{out_type}',
    arch=dict(embed_dims=64, num_layers=2, num_heads=4, feedforward_channels=128))"""
SCHEDULE = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=4, val_interval=2)
param_scheduler = []
optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=1e-3))
log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', _delete_=True, by_epoch=False, interval=2))
auto_scale_lr = dict(base_batch_size=2)
"""
LOADER = """
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, sampler=dict(type='InfiniteSampler', shuffle=True, _delete_=True),
                        batch_sampler=None, dataset=dict(_delete_=True, {data}, pipeline={train}))
val_dataloader = dict(**loader, dataset=dict(_delete_=True, {data}, {test_mode} pipeline={test}))
test_dataloader = val_dataloader
"""


def backbone(name: str, out_type: str, dense: bool) -> str:
    if name == 'SwinTransformer':
        return SWIN.format(dense=dense)
    return DEIT.format(name=name, out_type=out_type)


def classification(name: str, folder: Path) -> str:
    """mmpretrain's own Swin-T recipe with another backbone, head and data."""
    needs('mmpretrain')
    head = "dict(num_classes=2, in_channels=64)"
    neck = "dict(type='GlobalAveragePooling')"
    if name != 'SwinTransformer':
        neck = 'None'
        head = ("dict(type='vit_plugin.DeiTHead', _delete_=True, num_classes=2, in_channels=64)")
    if name == 'DistilledDeiT':
        head = head.replace('DeiTHead', 'DistilledDeiTHead')
    distilled = ''
    if name == 'DistilledDeiT':
        distilled = """type='vit_plugin.DistilledClassifier',
    distillation=dict(type='vit_plugin.HardDistillation'),
    teacher=dict(type='TimmClassifier', model_name='test_resnet', num_classes=2,
                 checkpoint=None),"""
    data = f"type='CustomDataset', data_root='{folder}'"
    test = "[dict(type='LoadImageFromFile'), dict(type='PackInputs')]"
    return f"""
_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'
model = dict({distilled} backbone={backbone(name, 'cls_token', False)}, neck={neck}, head={head})
data_preprocessor = dict(num_classes=2)
{LOADER.format(data=data, train=test, test=test, test_mode='')}
val_evaluator = dict(topk=1)
test_evaluator = val_evaluator
{SCHEDULE}"""


def detection(name: str, coco: Path) -> str:
    """mmdet's RetinaNet with another backbone and data."""
    needs('mmdet')
    neck = 'dict(in_channels=[8, 16, 32, 64])'
    if name != 'SwinTransformer':
        neck = "dict(type='FPN', _delete_=True, in_channels=[64], out_channels=256, num_outs=5)"
    data = (f"type='CocoDataset', data_root='{coco}', ann_file='annotations.json', "
            "data_prefix=dict(img='images'), metainfo=dict(classes=('grey', 'white'))")
    return f"""
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
model = dict(backbone={backbone(name, 'featmap', True)}, neck={neck}, bbox_head=dict(num_classes=2),
    test_cfg=dict(score_thr=0.))  # so that an untrained detector detects something
{LOADER.format(data=data, test_mode='test_mode=True,',
               train="[dict(type='LoadImageFromFile'), "
                     "dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]",
               test="[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), "
                    "dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]")}
val_evaluator = dict(ann_file='{coco}/annotations.json')
test_evaluator = val_evaluator
{SCHEDULE}"""


def segmentation(name: str, ade: Path) -> str:
    """mmseg's UPerNet (FCN for one map) with another backbone and data."""
    import mmseg
    base = Path(mmseg.__file__).parent / '.mim/configs/_base_'
    heads = """decode_head=dict(in_channels=[8, 16, 32, 64], channels=16, num_classes=2),
    auxiliary_head=dict(in_channels=32, channels=16, num_classes=2)"""
    if name != 'SwinTransformer':
        heads = """decode_head=dict(type='FCNHead', _delete_=True, in_channels=64, in_index=0,
    channels=16, num_convs=1, num_classes=2,
    loss_decode=dict(type='CrossEntropyLoss')), auxiliary_head=None"""
    data = (f"type='BaseSegDataset', data_root='{ade}', img_suffix='.jpg', seg_map_suffix='.png', "
            "data_prefix=dict(img_path='images', seg_map_path='annotations'), "
            "metainfo=dict(classes=('out', 'in'), palette=[[0, 0, 0], [9, 9, 9]])")
    return f"""
_base_ = ['{base}/models/upernet_swin.py', '{base}/default_runtime.py',
          '{base}/datasets/ade20k.py', '{base}/schedules/schedule_20k.py']
norm_cfg = dict(type='BN')
model = dict(pretrained=None, data_preprocessor=dict(size=(64, 64)),
    backbone={backbone(name, 'featmap', True)},
    {heads.replace('channels=16', 'channels=16, norm_cfg=norm_cfg')})
{LOADER.format(data=data, test_mode='test_mode=True,',
               train="[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), "
                     "dict(type='PackSegInputs')]",
               test="[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), "
                    "dict(type='PackSegInputs')]")}
{SCHEDULE}"""


@pytest.mark.parametrize('name', ['DeiT', 'DistilledDeiT', 'SwinTransformer'])
@pytest.mark.parametrize('task', ['classification', 'detection', 'segmentation'])
def test_every_backbone_in_every_toolkit(
        task: str, name: str, tool: Callable[..., None], tmp_path: Path,
        request: pytest.FixtureRequest, capfd: pytest.CaptureFixture) -> None:
    write, data, metric, count = {
        'classification': (classification, 'image_folder', 'accuracy/top1:', 8),
        'detection': (detection, 'coco', 'coco/bbox_mAP:', 4),
        'segmentation': (segmentation, 'ade', 'mIoU:', 4)}[task]
    config = tmp_path / f'{task}_{name}.py'
    config.write_text(write(name, request.getfixturevalue(data)))
    work = tmp_path / 'work'
    tool('train', config, '--work-dir', work, '--cfg-options', 'randomness.seed=0')
    assert ''.join(capfd.readouterr()).count(metric) == 2  # after 2 and after 4 iterations
    trained = (work / config.name).read_bytes()
    tool('test', config, work / 'iter_4.pth', '--work-dir', work, '--out', work / 'out.pkl')
    assert (work / config.name).read_bytes() == trained
    assert ''.join(capfd.readouterr()).count(metric) == 1
    assert len(pickle.loads((work / 'out.pkl').read_bytes())) == count


def test_resume_goes_on_from_the_last_checkpoint(tool: Callable[..., None], tmp_path: Path,
                                                 image_folder: Path,
                                                 capfd: pytest.CaptureFixture) -> None:
    config, work = tmp_path / 'resume_deit.py', tmp_path / 'work'
    config.write_text(classification('DeiT', image_folder))
    tool('train', config, '--work-dir', work, '--cfg-options', 'train_cfg.max_iters=2')
    tool('train', config, '--work-dir', work, '--resume')
    assert (work / 'last_checkpoint').read_text().endswith('iter_4.pth')
    tool('train', config, '--work-dir', work, '--resume', work / 'iter_2.pth', '--no-validate',
         '--auto-scale-lr', '--cfg-options', 'train_cfg.max_iters=3',
         'default_hooks.checkpoint.interval=1', 'optim_wrapper.accumulative_counts=2')
    assert 'LR is set based on batch size of 1.0' in ''.join(capfd.readouterr())
    kept = Config.fromfile(work / config.name).auto_scale_lr  # from which another run may start
    assert kept == dict(base_batch_size=2, enable=True)
    steps = torch.load(work / 'iter_3.pth', weights_only=False)['optimizer']['state'][0]['step']
    assert int(steps) == 3


def test_clear_errors(tool: Callable[..., None], tmp_path: Path, image_folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"no config 'absent\.py'"):
        tool('train', 'absent.py')
    config = tmp_path / 'errors_deit.py'
    config.write_text(classification('DeiT', image_folder))
    with pytest.raises(SystemExit, match=r"no checkpoint 'absent\.pth'"):
        tool('test', config, 'absent.pth')
