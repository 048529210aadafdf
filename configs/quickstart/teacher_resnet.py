# The convolutional teacher: mmpretrain's CIFAR ResNet-18 with a quarter of the channels.
_base_ = 'digits.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=16, stem_channels=16,
                  norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=128))
train_dataloader = dict(dataset=dict(data_prefix='teacher'))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
