# Cascade Mask R-CNN, Swin-B, FPN, 36 epochs, multi-scale training.
# Train: bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_swin-base_fpn_ms-3x_coco.py 8
# Published: 51.9 box AP, 45.0 mask AP on COCO val2017 (Swin paper, table 2b).
# Stochastic depth: 0.3 in SwinTransformer/Swin-Transformer-Object-Detection, whose README links the
# result to its config; 0.2 in the paper (appendix A2.2).
_base_ = 'cascade-mask-rcnn_swin-tiny_fpn_ms-3x_coco.py'

model = dict(
    backbone=dict(
        arch='base', drop_path_rate=0.3,
        init_cfg=dict(
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                       'swin_base_patch4_window7_224.pth')),
    neck=dict(in_channels=[128, 256, 512, 1024]))
