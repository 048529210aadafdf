# UPerNet, DINOv2-B with registers and adapters of rank 16; these, pyramid and heads learn.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_dinov2-base-lora_160k_ade20k-518x518.py 8
# Published: none for this recipe, and nothing of it is tuned. Needs peft.
_base_ = 'upernet_dinov2-base_160k_ade20k-518x518.py'

model = dict(backbone=dict(_delete_=True, type='vit_plugin.LoRA', r=16, lora_alpha=16,
                           backbone=_base_.model.backbone))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.))
