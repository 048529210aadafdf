# The same model, evaluated on each image and its mirror image at six scales.
# Test: python tools/test.py \
#     configs/segmentation/upernet_swin-tiny_ms-flip_ade20k-512x512.py CHECKPOINT
# Published: 45.79 mIoU on ADE20K val (mmseg's model zoo).
_base_ = 'upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(_delete_=True, type='SegTTAModel', module={{_base_.model}})
test_dataloader = dict(dataset=dict(pipeline={{_base_.tta_pipeline}}))
