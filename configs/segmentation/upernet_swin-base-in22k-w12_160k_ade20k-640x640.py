# UPerNet, Swin-B with windows of 12, from ImageNet-22K at 384, 160k iterations, 640x640.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_swin-base-in22k-w12_160k_ade20k-640x640.py 8
# Published: 50.04 mIoU, 51.66 with scales and flips, on ADE20K val (README of
# microsoft/Swin-Transformer; Swin paper, table 3: 51.6); at 512x512 50.76 and 52.4 (mmseg's model
# zoo).
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_640x640.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']

model = dict(
    data_preprocessor=dict(size=(640, 640)),
    backbone=dict(
        arch='base', img_size=384, window_size=12,
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                       'swin_base_patch4_window12_384_22k.pth')),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
