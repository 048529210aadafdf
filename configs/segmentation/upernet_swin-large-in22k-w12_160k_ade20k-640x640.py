# UPerNet, Swin-L with windows of 12, from ImageNet-22K at 384, 160k iterations, 640x640.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_swin-large-in22k-w12_160k_ade20k-640x640.py 8
# Published: 52.05 mIoU, 53.53 with scales and flips, on ADE20K val (README of
# microsoft/Swin-Transformer; Swin paper, table 3: 53.5).
_base_ = 'upernet_swin-base-in22k-w12_160k_ade20k-640x640.py'

model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                       'swin_large_patch4_window12_384_22k.pth')),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768))
