# RetinaNet, Swin-T, FPN, 12 epochs, one scale.
# Train: bash tools/dist_train.sh configs/detection/retinanet_swin-tiny_fpn_1x_coco.py 8
# Published: none for this recipe. mmdet's config of that name keeps SGD and has no result in its
# model zoo; this one has the Swin paper's AdamW.
_base_ = ['../_base_/detection/retinanet.py', '../_base_/detection/coco_detection.py',
          '../_base_/detection/schedule_1x.py', '../_base_/detection/runtime.py']
