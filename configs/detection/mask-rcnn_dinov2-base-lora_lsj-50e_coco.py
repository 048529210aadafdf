# Mask R-CNN, DINOv2-B with registers and adapters of rank 16; these, pyramid and heads learn.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_dinov2-base-lora_lsj-50e_coco.py 16
# Published: none for this recipe, and nothing of it is tuned. Needs peft.
_base_ = 'mask-rcnn_dinov2-base_lsj-50e_coco.py'

model = dict(backbone=dict(_delete_=True, type='vit_plugin.LoRA', r=16, lora_alpha=16,
                           backbone=_base_.model.backbone))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.))
