# Mask R-CNN, DINOv2-B with registers, frozen; pyramid and heads are trained.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_dinov2-base-frozen_lsj-50e_coco.py 16
# Published: none for this recipe, and nothing of it is tuned.
_base_ = 'mask-rcnn_dinov2-base_lsj-50e_coco.py'

model = dict(backbone=dict(frozen_stages=12, drop_path_rate=0.))
