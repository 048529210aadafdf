# The same model, evaluated with a sliding window instead of on whole images.
# Test: python tools/test.py \
#     configs/segmentation/upernet_swin-tiny_slide_ade20k-512x512.py CHECKPOINT
# Published: none; see the config it is based on.
_base_ = 'upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
