# Cascade Mask R-CNN, Swin-T, FPN, 36 epochs, multi-scale training.
# Train: bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_swin-tiny_fpn_ms-3x_coco.py 8
# Published: 50.5 box AP, 43.7 mask AP on COCO val2017 (Swin paper, table 2b); the released
# checkpoint has 50.4 and 43.7 (SwinTransformer/Swin-Transformer-Object-Detection).
_base_ = ['../_base_/detection/cascade_mask_rcnn.py',
          '../_base_/detection/coco_instance_multi_scale.py',
          '../_base_/detection/schedule_3x.py', '../_base_/detection/runtime.py']
