# UPerNet, Swin-B, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_swin-base_160k_ade20k-512x512.py 8
# Published: 47.99 mIoU, 49.57 with scales and flips, on ADE20K val (mmseg's model zoo); 48.13 and
# 49.72 (SwinTransformer/Swin-Transformer-Semantic-Segmentation).
_base_ = 'upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                       'swin_base_patch4_window7_224.pth')),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
