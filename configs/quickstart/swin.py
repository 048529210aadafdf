# The Swin that the detector and the segmentor start from. Digits are enlarged to 56x56 pixels, so
# that the maps of the first two stages are whole windows.
_base_ = 'digits.py'

max_iters = 400

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='vit_plugin.SwinTransformer', img_size=56,
        arch=dict(embed_dims=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)), out_indices=(3,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=256))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=56, crop_ratio_range=(0.7, 1.0)),
    dict(type='Rotate', angle=10., prob=0.5, random_negative_prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=56), dict(type='PackInputs')]
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
