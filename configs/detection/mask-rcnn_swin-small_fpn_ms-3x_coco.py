# Mask R-CNN, Swin-S, FPN, 36 epochs, multi-scale training.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_swin-small_fpn_ms-3x_coco.py 8
# Published: 48.5 box AP, 43.3 mask AP on COCO val2017
# (SwinTransformer/Swin-Transformer-Object-Detection); 48.2 and 43.2 in float16 (mmdet's model zoo).
_base_ = 'mask-rcnn_swin-tiny_fpn_ms-3x_coco.py'

model = dict(backbone=dict(
    arch='small',
    init_cfg=dict(checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                             'swin_small_patch4_window7_224.pth')))
