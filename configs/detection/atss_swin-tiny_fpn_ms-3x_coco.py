# ATSS, Swin-T, FPN, 36 epochs, multi-scale training.
# Train: bash tools/dist_train.sh configs/detection/atss_swin-tiny_fpn_ms-3x_coco.py 8
# Published: 47.2 box AP on COCO val2017 (Swin paper, table 2a).
_base_ = ['../_base_/detection/atss.py', '../_base_/detection/coco_detection_multi_scale.py',
          '../_base_/detection/schedule_3x.py', '../_base_/detection/runtime.py']
