# The same in bfloat16.
# Train: bash tools/dist_train.sh configs/detection/atss_swin-tiny_fpn_amp-ms-3x_coco.py 8
# Published: none in bfloat16; see the config it is based on.
_base_ = 'atss_swin-tiny_fpn_ms-3x_coco.py'

optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.)
model = dict(bbox_head=dict(type='vit_plugin.Float32ATSSHead'))
