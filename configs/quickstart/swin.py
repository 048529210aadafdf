# The Swin that the detector and the segmentor start from: digits as large as in the scenes,
# anywhere in pictures of 48x48 pixels.
_base_ = 'digits.py'

max_iters = 400

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='vit_plugin.SwinTransformer', img_size=48,
        arch=dict(embed_dims=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)), out_indices=(3,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=256))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResize', scale=(48, 48), ratio_range=(0.6, 1.0)),
    dict(type='RandomCrop', crop_size=48, padding=8, pad_if_needed=True),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=48), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=32, dataset=dict(data_prefix='teacher', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=40),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=40, T_max=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
