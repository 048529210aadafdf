# The same in bfloat16.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_swin-base_amp-160k_ade20k-512x512.py 8
# Published: none in bfloat16; see the config it is based on.
_base_ = 'upernet_swin-base_160k_ade20k-512x512.py'

optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.)
