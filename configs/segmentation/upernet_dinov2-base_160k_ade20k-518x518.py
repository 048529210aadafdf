# UPerNet, DINOv2-B with registers, simple pyramid from the last block, 160k iterations, 518x518,
# fine-tuned with layer-wise learning-rate decay. Learning rate, weight decay and layer-wise decay
# are mmseg's for MAE's ViT-B (mae-base_upernet_8xb2-amp-160k_ade20k-512x512), not tuned here.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_dinov2-base_160k_ade20k-518x518.py 8
# Published: none for this recipe. Weights: Apache-2.0.
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_518x518.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']

model = dict(
    data_preprocessor=dict(size=(518, 518), test_cfg=dict(size_divisor=14)),
    backbone=dict(
        _delete_=True, type='vit_plugin.DINOv2', arch='base', out_type='featmap',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/dinov2/'
                                                    'dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth')),
    neck=dict(type='vit_plugin.SimplePyramid', in_channels=768, out_channels=256),
    decode_head=dict(in_channels=[256, 256, 256, 256]),
    auxiliary_head=dict(in_channels=256))
optim_wrapper = dict(
    constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
    optimizer=dict(lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.65))
