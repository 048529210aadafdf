# Cascade Mask R-CNN, Swin-S, FPN, 36 epochs, multi-scale training.
# Train: bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_swin-small_fpn_ms-3x_coco.py 8
# Published: 51.8 box AP, 44.7 mask AP on COCO val2017 (Swin paper, table 2b); the released
# checkpoint has 51.9 and 45.0 (SwinTransformer/Swin-Transformer-Object-Detection).
_base_ = 'cascade-mask-rcnn_swin-tiny_fpn_ms-3x_coco.py'

model = dict(backbone=dict(
    arch='small',
    init_cfg=dict(checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                             'swin_small_patch4_window7_224.pth')))
