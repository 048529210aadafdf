# Data, schedule and runtime of the quickstart: MNIST digits as folders of images, written by
# `vit-plugin demo` to work_dirs/quickstart/data/{teacher,student,val}/<digit>/*.png.
_base_ = '../_base_/classification_runtime.py'

data_root = 'work_dirs/quickstart/data'
num_classes = 10
max_iters = 800

data_preprocessor = dict(
    num_classes=num_classes, mean=[33.3] * 3, std=[78.6] * 3, to_rgb=False)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=28, crop_ratio_range=(0.7, 1.0)),
    dict(type='Rotate', angle=10., prob=0.5, random_negative_prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64, num_workers=1, persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='CustomDataset', data_root=data_root, data_prefix='student',
                 pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=250, num_workers=1, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root=data_root, data_prefix='val',
                 pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=1)
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=100)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0., flat_decay_mult=0.),
    clip_grad=dict(max_norm=5.))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=100, T_max=max_iters),
]
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(
    by_epoch=False, interval=max_iters, max_keep_ckpts=1, save_best=None, save_optimizer=False,
    filename_tmpl='final.pth'))
