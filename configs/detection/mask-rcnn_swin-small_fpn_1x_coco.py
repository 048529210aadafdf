# Mask R-CNN, Swin-S, FPN, 12 epochs, one scale.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_swin-small_fpn_1x_coco.py 8
# Published: none for this recipe.
_base_ = 'mask-rcnn_swin-tiny_fpn_1x_coco.py'

model = dict(backbone=dict(
    arch='small',
    init_cfg=dict(checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                             'swin_small_patch4_window7_224.pth')))
