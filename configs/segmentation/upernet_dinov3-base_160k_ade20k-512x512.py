# UPerNet, DINOv3-B, 160k iterations, 512x512; learning rates as for DINOv2-B, not tuned either.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_dinov3-base_160k_ade20k-512x512.py 8 \
#     --cfg-options model.backbone.init_cfg.checkpoint=FILE
# FILE: DINOv3's weights are given to those who agree to its licence, see docs/dino.md.
# Published: none for this recipe.
_base_ = 'upernet_deit-base_160k_ade20k-512x512.py'

model = dict(backbone=dict(
    _delete_=True, type='vit_plugin.DINOv3', arch='base', out_type='featmap', drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint='')))
optim_wrapper = dict(
    constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
    optimizer=dict(lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.65))
