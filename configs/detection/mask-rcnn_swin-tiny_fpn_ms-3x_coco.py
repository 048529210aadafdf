# Mask R-CNN, Swin-T, FPN, 36 epochs, multi-scale training.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_swin-tiny_fpn_ms-3x_coco.py 8
# Published: 46.0 box AP, 41.6 mask AP on COCO val2017 (mmdet's model zoo and
# SwinTransformer/Swin-Transformer-Object-Detection); 46.0 and 41.7 in float16 (mmdet's).
_base_ = ['../_base_/detection/mask_rcnn.py', '../_base_/detection/coco_instance_multi_scale.py',
          '../_base_/detection/schedule_3x.py', '../_base_/detection/runtime.py']
