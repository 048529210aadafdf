# Mask R-CNN, Swin-T, FPN, 12 epochs, distilled from a Cascade Mask R-CNN with Swin-B: PKD on the
# levels of the FPN. Train the teacher first; 51.9 box AP are published for it (Swin's
# Swin-Transformer-Object-Detection).
# Train: bash tools/dist_train.sh configs/distillation/mask-rcnn_swin-tiny_from_swin-base-pkd.py 8
# Published: none for this pair. 42.7 box AP without a teacher (mmdet's model zoo).
_base_ = '../detection/mask-rcnn_swin-tiny_fpn_1x_coco.py'

model = dict(
    type='vit_plugin.Distilled', student_type='MaskRCNN',
    teacher=dict(
        config='configs/detection/cascade-mask-rcnn_swin-base_fpn_ms-3x_coco.py',
        checkpoint='work_dirs/cascade-mask-rcnn_swin-base_fpn_ms-3x_coco/epoch_36.pth'),
    distillation=dict(type='vit_plugin.PKD', student='neck[:4]', teacher='neck[:4]'))
