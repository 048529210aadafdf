# The same with windows of 14x14 patches; see mask-rcnn_deit-base-w14_lsj-50e_coco.py.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_deit-small-w14_lsj-50e_coco.py 16
# Published: none.
_base_ = 'mask-rcnn_deit-small_lsj-50e_coco.py'

model = dict(backbone=dict(window_size=14))
