# UPerNet, Swin V2-T with windows of 8, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_swinv2-tiny_160k_ade20k-512x512.py 8
# Published: none.
_base_ = 'upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(backbone=dict(
    type='vit_plugin.SwinTransformerV2', img_size=256, window_size=8,
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-v2/'
                   'swinv2-tiny-w8_3rdparty_in1k-256px_20220803-e318968f.pth')))
