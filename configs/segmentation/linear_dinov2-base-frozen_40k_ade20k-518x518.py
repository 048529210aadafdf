# A linear layer on the patches of DINOv2-B with registers, frozen; 40k iterations, 518x518.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/linear_dinov2-base-frozen_40k_ade20k-518x518.py 8
# Published: none for this recipe. DINOv2's own linear head has a batch norm before the layer
# (facebookresearch/dinov2, eval/segmentation/models/decode_heads/linear_head.py).
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_518x518.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']

model = dict(
    data_preprocessor=dict(size=(518, 518), test_cfg=dict(size_divisor=14)),
    backbone=dict(
        _delete_=True, type='vit_plugin.DINOv2', arch='base', out_type='featmap', frozen_stages=12,
        init_cfg=dict(type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/dinov2/'
                                                    'dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth')),
    decode_head=dict(
        _delete_=True, type='FCNHead', in_channels=768, channels=768, num_convs=0,
        concat_input=False, dropout_ratio=0., num_classes=150, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.)),
    auxiliary_head=None)
max_iters = 40000
train_cfg = dict(max_iters=max_iters, val_interval=4000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0., power=1., by_epoch=False, begin=1500, end=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
default_hooks = dict(checkpoint=dict(interval=4000))
