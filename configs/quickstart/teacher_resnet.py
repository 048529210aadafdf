# The convolutional teacher: mmpretrain's CIFAR ResNet-18 with an eighth of the channels. It trains
# with Mixup and CutMix as the students do, or its opinion of their mixed images would be worthless.
_base_ = 'digits.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8,
                  norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
train_dataloader = dict(dataset=dict(data_prefix='teacher'))

# It learns faster than the students.
max_iters = 500
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=100, T_max=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
