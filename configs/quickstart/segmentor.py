# A small UPerNet with Swin on the same scenes. It tells digits from the background, not which: that
# takes longer than the quickstart has.
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_512x512.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']

data_root = 'work_dirs/quickstart/scenes/ade'
metainfo = dict(classes=('background', 'digit'), palette=[[0, 0, 0], [255, 225, 25]])
max_iters = 100

norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(mean=[33.3] * 3, std=[78.6] * 3, bgr_to_rgb=False, size=(96, 96)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        img_size=28,
        drop_path_rate=0.1,
        init_cfg=dict(checkpoint='work_dirs/quickstart/swin/final.pth')),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64, num_classes=2,
                     norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=128, channels=64, num_classes=2, norm_cfg=norm_cfg))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='vit_plugin.CheckLabels', num_classes=2),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8, num_workers=1,
    dataset=dict(type='BaseSegDataset', data_root=data_root, img_suffix='.png',
                 seg_map_suffix='.png', reduce_zero_label=True, metainfo=metainfo,
                 pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8, num_workers=1,
    dataset=dict(type='BaseSegDataset', data_root=data_root, img_suffix='.png',
                 seg_map_suffix='.png', reduce_zero_label=True, metainfo=metainfo,
                 pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=50, T_max=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.))
default_hooks = dict(checkpoint=dict(
    by_epoch=False, interval=max_iters, max_keep_ckpts=1, save_best=None, save_optimizer=False,
    filename_tmpl='final.pth'))
