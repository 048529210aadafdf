# The same in bfloat16.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_deit-base_amp-lsj-50e_coco.py 16
# Published: none in bfloat16; see the config it is based on.
_base_ = 'mask-rcnn_deit-base_lsj-50e_coco.py'

optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.)
model = dict(
    rpn_head=dict(type='vit_plugin.Float32RPNHead'),
    roi_head=dict(bbox_roi_extractor=dict(type='vit_plugin.Float32RoIExtractor'),
                  mask_roi_extractor=dict(type='vit_plugin.Float32RoIExtractor')))
