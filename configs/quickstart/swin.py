# The Swin that the detector and the segmentor start from. It learns pictures of one digit that are
# like a quarter of a scene, written by `vit-plugin demo` to work_dirs/quickstart/singles.
_base_ = 'digits.py'

data_root = 'work_dirs/quickstart/singles'
max_iters = 1000

# Windows of 4x4 need less padding than those of 7x7: the maps are 12x12 to 2x2 here.
model = dict(
    type='ImageClassifier',
    # Weights from N(0, 0.02), as the backbone's own are, are too small for so few channels.
    init_cfg=dict(type='Xavier', layer='Linear'),
    backbone=dict(
        type='vit_plugin.SwinTransformer', img_size=48, window_size=4, pad_small_map=True,
        arch=dict(embed_dims=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)), out_indices=(3,),
        drop_path_rate=0.),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=256))

pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=32, dataset=dict(data_root=data_root, data_prefix='train', pipeline=pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# With twice the learning rate it learns digits in one place, but hardly those that move.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=100, T_max=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
