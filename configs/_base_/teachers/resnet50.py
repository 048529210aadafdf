# mmpretrain's ResNet-50, 76.55 % top-1 (published, metafile of its configs/resnet).
resnet = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50, num_stages=4, out_indices=(3, ), style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048),
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                           to_rgb=True),
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
               'resnet50_8xb32_in1k_20210831-ea4938fc.pth')
