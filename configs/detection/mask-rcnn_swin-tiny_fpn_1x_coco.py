# Mask R-CNN, Swin-T, FPN, 12 epochs, one scale.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_swin-tiny_fpn_1x_coco.py 8
# Published: 42.7 box AP, 39.3 mask AP on COCO val2017 (mmdet's model zoo, the same recipe); 43.7
# and 39.8 with multi-scale training and stochastic depth of 0.1
# (SwinTransformer/Swin-Transformer-Object-Detection).
_base_ = ['../_base_/detection/mask_rcnn.py', '../_base_/detection/coco_instance.py',
          '../_base_/detection/schedule_1x.py', '../_base_/detection/runtime.py']
