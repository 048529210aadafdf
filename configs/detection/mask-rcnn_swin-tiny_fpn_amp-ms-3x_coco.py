# The same in bfloat16.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_swin-tiny_fpn_amp-ms-3x_coco.py 8
# Published: 46.0 box AP, 41.7 mask AP on COCO val2017 (mmdet's model zoo, in float16).
_base_ = 'mask-rcnn_swin-tiny_fpn_ms-3x_coco.py'

optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.)
model = dict(
    rpn_head=dict(type='vit_plugin.Float32RPNHead'),
    roi_head=dict(bbox_roi_extractor=dict(type='vit_plugin.Float32RoIExtractor'),
                  mask_roi_extractor=dict(type='vit_plugin.Float32RoIExtractor')))
