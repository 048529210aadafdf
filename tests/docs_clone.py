"""What the documents' examples need and print: data, weights, options for tiny runs, evidence."""
import json
from pathlib import Path

import numpy as np
import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image
from torchvision.models import resnet18

from tests.conftest import ROOT
from tests.distillation.conftest import teacher_config

SWIN = [f'model.backbone.arch.{setting}' for setting in (
    '_delete_=True', 'embed_dims=8', 'depths=(1,1,2,1)', 'num_heads=(1,2,4,8)')]
DEIT = [f'model.backbone.arch.{setting}' for setting in (
    '_delete_=True', 'embed_dims=16', 'num_layers=2', 'num_heads=2', 'feedforward_channels=32')]
SHORT = [*(f'{loader}_dataloader.{setting}' for loader in ('train', 'val', 'test')
           for setting in ('num_workers=0', 'persistent_workers=False')),
         'train_dataloader.batch_size=2', 'param_scheduler=[]', 'model.backbone.init_cfg=None']
# The checkpoint keeps the name that it has after the whole training.
EPOCH = [*SHORT, 'train_cfg.max_epochs=1', 'default_hooks.checkpoint.filename_tmpl=epoch_30.pth']
TINY = {
    'swin-tiny_finetune_folder': [*EPOCH, *SWIN, 'model.head.in_channels=64'],
    'pets_distilled': [*EPOCH, *DEIT, 'model.head.in_channels=16'],
    'pool_student': [*EPOCH, 'model.backbone.embed_dims=16', 'model.backbone.depth=2',
                     'model.head.in_channels=16'],
    'pets_detector': [
        *EPOCH[:-1], *SWIN, 'default_hooks.checkpoint.filename_tmpl=epoch_12.pth',
        'model.neck.in_channels=[8,16,32,64]', 'model.test_cfg.rpn.max_per_img=16',
        'model.test_cfg.rcnn.max_per_img=4',
        'train_dataloader.dataset.dataset.pipeline.3.scale=(64,64)',
        *(f'{loader}_dataloader.dataset.pipeline.1.scale=(64,64)' for loader in ('val', 'test'))],
    'swin-tiny_from_dinov2-base_unlabelled': [
        *SWIN, 'train_cfg.max_epochs=1', 'param_scheduler=[]', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False', 'train_dataloader.batch_size=3',
        'default_hooks.checkpoint.filename_tmpl=epoch_300.pth',
        *(f'model.teacher.{setting}' for setting in (
            'pretrained=False', 'embed_dim=16', 'depth=1', 'num_heads=2'))],
    'pets_segmentor': [
        *SHORT, *SWIN, 'train_cfg.max_iters=1', 'train_cfg.val_interval=1',
        'default_hooks.checkpoint.interval=1',
        'default_hooks.checkpoint.filename_tmpl=iter_20000.pth',
        'model.data_preprocessor.size=(64,64)', 'model.decode_head.in_channels=[8,16,32,64]',
        'model.decode_head.channels=16', 'model.auxiliary_head.in_channels=32',
        'model.auxiliary_head.channels=16',
        'train_dataloader.dataset.dataset.pipeline.3.scale=(256,64)',
        'train_dataloader.dataset.dataset.pipeline.4.crop_size=(64,64)',
        *(f'{loader}_dataloader.dataset.pipeline.1.scale=(256,64)' for loader in ('val', 'test'))],
}
# These are resumed after the first of two iterations.
TINY |= {f'pets_fast_{task}': [
    *TINY[f'pets_{task}'], *iterations, 'default_hooks.checkpoint.by_epoch=False',
    'default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.filename_tmpl=iter_{}.pth']
    for task, iterations in (('detector', []), (
        'segmentor', ['train_cfg.max_iters=2', 'train_cfg.val_interval=2']))}
# What a section prints when it has done what it says.
EVIDENCE = {
    'Classify my folder': (r'accuracy/top1: \d', r'(cat|dog)\s*\Z'),
    'Distil from my teacher': (r'The teacher has 100\.0 % top-1 accuracy on 8 ',
                               r'loss_cls: .*loss_distill: .*agreement: '),
    'Detect': (r'coco/bbox_mAP: ', r'coco/segm_mAP: ', 'loss_mask: .*loss_distill: '),
    'Segment': (r'mIoU: ', r'work_dirs/pets_fast_segmentor\.\n[\s\S]*mIoU: '),
    'Photos without labels': (r'loss_distill_localsimilaritydistillation: ', r'accuracy/top1: \d'),
    'Use my existing weights': (r', timm: 100\.0 % of the parameters matched; resized 12 x bias',
                                r'\(timm\) -> my_swin_tiny_timm\.safetensors \(timm\): 173 of'),
    'A worked example: own backbone, own teacher': (r'loss_cls: .*loss_distill: .*agreement: ',),
    'A toolkit of your own': (r'\[96, 192, 384, 768\]',),
}


def make_pets(folder: Path, image_folder: Path, coco: Path, ade: Path) -> None:
    """The data of the examples: cats are dark and dogs light."""
    for split in ('train', 'val'):
        (folder / 'pets' / split).mkdir(parents=True)
        for name, source in (('cat', 'dark'), ('dog', 'light')):
            (folder / 'pets' / split / name).symlink_to(image_folder / source)
    objects = json.loads((coco / 'annotations.json').read_text())
    for category, name in zip(objects['categories'], ('cat', 'dog')):
        category['name'] = name
    (folder / 'pets_coco').mkdir()
    (folder / 'pets_coco/images').symlink_to(coco / 'images')
    for split in ('train', 'val'):
        (folder / f'pets_coco/{split}.json').write_text(json.dumps(objects))
    (folder / 'photos').symlink_to(image_folder)
    for split in ('training', 'validation'):
        (folder / 'pets_seg/annotations' / split).mkdir(parents=True)
        (folder / 'pets_seg/images').mkdir(exist_ok=True)
        (folder / 'pets_seg/images' / split).symlink_to(ade / 'images')
        for path in (ade / 'annotations').iterdir():  # 0 there is the background
            labels = Image.fromarray(np.asarray(Image.open(path)) + 1)
            labels.save(folder / 'pets_seg/annotations' / split / path.name)


def make_resnet(folder: Path) -> None:
    """A ResNet that tells cats from dogs, as mmpretrain leaves it behind: config, checkpoint."""
    config = teacher_config(head=dict(type='LinearClsHead', num_classes=2, in_channels=32))
    model = MODELS.build(config).eval()
    images = [np.asarray(Image.open(folder / f'data/pets/val/{name}/{i}.png').resize((224, 224)))
              for name in ('cat', 'dog') for i in range(4)]
    pixels = torch.tensor(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2)  # BGR, as read
    with torch.no_grad():
        cats, dogs = model.extract_feat(model.data_preprocessor(dict(inputs=pixels))['inputs']
                                        )[0].view(2, 4, -1).mean(1)
        model.head.fc.weight.copy_(torch.stack([cats - dogs, dogs - cats]))
        offset = (dogs - cats) @ (cats + dogs) / 2
        model.head.fc.bias.copy_(torch.stack([offset, -offset]))
    Config(dict(model=config)).dump(folder / 'my_resnet50.py')
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'my_resnet50.pth')


def make_dense(folder: Path, name: str, base: str, **changes: dict) -> None:
    """A detector or segmentor of small layers: config and checkpoint."""
    config = Config.fromfile(ROOT / 'configs' / base)
    config.merge_from_dict(dict(model=dict(
        changes, backbone=dict(arch=dict(_delete_=True, embed_dims=8, depths=(1, 1, 1, 1),
                                         num_heads=(1, 2, 4, 8)), init_cfg=None))))
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    config.dump(folder / f'{name}.py')
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / f'{name}.pth')


def make_weights(folder: Path, text: str) -> None:
    """The files of weights that a section names."""
    if 'my_resnet50' in text:
        make_resnet(folder)
    if 'my_detector' in text:
        make_dense(folder, 'my_detector', 'detection/mask-rcnn_swin-tiny_fpn_1x_coco.py',
                   neck=dict(in_channels=[8, 16, 32, 64]),
                   roi_head=dict(bbox_head=dict(fc_out_channels=16)))
    if 'my_segmentor' in text:
        make_dense(folder, 'my_segmentor',
                   'segmentation/upernet_swin-tiny_160k_ade20k-512x512.py',
                   decode_head=dict(in_channels=[8, 16, 32, 64], channels=32, num_classes=3),
                   auxiliary_head=dict(in_channels=32, num_classes=3))
    if 'resnet18.pth' in text:
        torch.save(resnet18(num_classes=2).state_dict(), folder / 'resnet18.pth')
    if 'my_swin_tiny.pth' in text:
        torch.save(timm.create_model('swin_tiny_patch4_window7_224').state_dict(),
                   folder / 'my_swin_tiny.pth')
