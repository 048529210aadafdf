# The same model, evaluated on each image and its mirror image.
# Test: python tools/test.py \
#     configs/segmentation/upernet_swin-tiny_flip_ade20k-512x512.py CHECKPOINT
# Published: none without scales; see the config it is based on.
_base_ = 'upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(_delete_=True, type='SegTTAModel', module={{_base_.model}})
test_dataloader = dict(dataset=dict(pipeline={{_base_.flip_pipeline}}))
