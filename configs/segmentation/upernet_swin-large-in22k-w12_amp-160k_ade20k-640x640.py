# The same in bfloat16.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_swin-large-in22k-w12_amp-160k_ade20k-640x640.py 8
# Published: none in bfloat16; see the config it is based on.
_base_ = 'upernet_swin-large-in22k-w12_160k_ade20k-640x640.py'

optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.)
