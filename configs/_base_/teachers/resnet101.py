# mmpretrain's ResNet-101, 77.97 % top-1 (published, metafile of its configs/resnet).
_base_ = 'resnet50.py'

resnet = dict(
    backbone=dict(depth=101),
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
               'resnet101_8xb32_in1k_20210831-539c63f8.pth')
