# A small UPerNet with Swin on the same scenes. It labels pixels with the digit that they belong
# to, or as background.
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_512x512.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']

data_root = 'work_dirs/quickstart/scenes/ade'
metainfo = dict(classes=('background', *'0123456789'), palette=[
    [0, 0, 0], [230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200], [245, 130, 48],
    [145, 30, 180], [70, 240, 240], [240, 50, 230], [210, 245, 60], [170, 110, 40]])
max_iters = 600

norm_cfg = dict(type='BN')
# Most pixels are background: with equal weights, all would be background for long.
loss = dict(class_weight=[0.2] + [1.] * 10)
model = dict(
    init_cfg=dict(type='Xavier', layer='Linear'),  # as swin.py, for runs from random weights
    data_preprocessor=dict(mean=[33.3] * 3, std=[78.6] * 3, bgr_to_rgb=False, size=(96, 96)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        img_size=48, window_size=4, drop_path_rate=0.1,
        init_cfg=dict(checkpoint='work_dirs/quickstart/swin/final.pth')),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64, num_classes=11,
                     norm_cfg=norm_cfg, loss_decode=loss),
    auxiliary_head=dict(in_channels=128, channels=64, num_classes=11, norm_cfg=norm_cfg,
                        loss_decode=loss))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='vit_plugin.CheckLabels', num_classes=11),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8, num_workers=1,
    dataset=dict(dataset=dict(
        type='BaseSegDataset', data_root=data_root, img_suffix='.png', seg_map_suffix='.png',
        reduce_zero_label=True, metainfo=metainfo, pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=8, num_workers=1,
    dataset=dict(type='BaseSegDataset', data_root=data_root, img_suffix='.png',
                 seg_map_suffix='.png', reduce_zero_label=True, metainfo=metainfo,
                 pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=60),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=60, T_max=max_iters),
]
# The heads start from random weights in any case, and learn faster than the backbone.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=5.))))
custom_hooks = [dict(type='vit_plugin.LabelCheckHook')]  # a run this short is not resumed
default_hooks = dict(checkpoint=dict(
    by_epoch=False, interval=max_iters, max_keep_ckpts=1, save_best=None, save_optimizer=False,
    filename_tmpl='final.pth'))
