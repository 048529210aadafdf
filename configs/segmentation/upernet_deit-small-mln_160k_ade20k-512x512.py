# UPerNet, DeiT-S, mmseg's MultiLevelNeck from four blocks, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_deit-small-mln_160k_ade20k-512x512.py 8
# Published: 43.52 mIoU, 45.01 with scales and flips, on ADE20K val (mmseg's model zoo,
# vit_deit-s16-ln_mln_upernet_8xb2-160k_ade20k-512x512).
_base_ = 'upernet_deit-base-mln_160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='small', init_cfg=dict(checkpoint='https://dl.fbaipublicfiles.com/deit/'
                                               'deit_small_patch16_224-cd65a155.pth')),
    neck=dict(in_channels=[384, 384, 384, 384], out_channels=384),
    decode_head=dict(in_channels=[384, 384, 384, 384]),
    auxiliary_head=dict(in_channels=384))
