# UPerNet, DeiT-S, simple pyramid from the last block, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_deit-small_160k_ade20k-512x512.py 8
# Published: none for this neck; mmseg's, from four blocks, has 43.52 mIoU (see
# upernet_deit-small-mln_160k_ade20k-512x512.py); 44.0 with transposed convolutions and scales (Swin
# paper, table 3).
_base_ = 'upernet_deit-base_160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='small', init_cfg=dict(checkpoint='https://dl.fbaipublicfiles.com/deit/'
                                               'deit_small_patch16_224-cd65a155.pth')),
    neck=dict(in_channels=384))
