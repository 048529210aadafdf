# UPerNet, Swin-S, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_swin-small_160k_ade20k-512x512.py 8
# Published: 47.72 mIoU, 49.24 with scales and flips, on ADE20K val (mmseg's model zoo); 47.64 and
# 49.47 (SwinTransformer/Swin-Transformer-Semantic-Segmentation); 49.3 with scales (Swin paper,
# table 3).
_base_ = 'upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(backbone=dict(
    arch='small',
    init_cfg=dict(checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                             'swin_small_patch4_window7_224.pth')))
