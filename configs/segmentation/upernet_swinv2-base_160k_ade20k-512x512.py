# UPerNet, Swin V2-B with windows of 8, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_swinv2-base_160k_ade20k-512x512.py 8
# Published: none.
_base_ = 'upernet_swinv2-tiny_160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-v2/'
                       'swinv2-base-w8_3rdparty_in1k-256px_20220803-8ff28f2b.pth')),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
