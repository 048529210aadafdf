# The same in bfloat16.
# Train: bash tools/dist_train.sh configs/detection/retinanet_swin-small_fpn_amp-1x_coco.py 8
# Published: none in bfloat16; see the config it is based on.
_base_ = 'retinanet_swin-small_fpn_1x_coco.py'

optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.)
model = dict(bbox_head=dict(type='vit_plugin.Float32RetinaHead'))
