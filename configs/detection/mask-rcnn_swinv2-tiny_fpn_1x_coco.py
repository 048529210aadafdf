# Mask R-CNN, Swin V2-T with windows of 8, FPN, 12 epochs, one scale.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_swinv2-tiny_fpn_1x_coco.py 8
# Published: none.
_base_ = 'mask-rcnn_swin-tiny_fpn_1x_coco.py'

model = dict(backbone=dict(
    type='vit_plugin.SwinTransformerV2', img_size=256, window_size=8,
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-v2/'
                   'swinv2-tiny-w8_3rdparty_in1k-256px_20220803-e318968f.pth')))
