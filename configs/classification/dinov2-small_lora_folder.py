# DINOv2-S with registers on a folder of your images: adapters of rank 16 learn, and the last layer.
#   python tools/train.py configs/classification/dinov2-small_lora_folder.py \
#       --data-root FOLDER --cfg-options model.head.num_classes=K data_preprocessor.num_classes=K
# Folder as in deit-small_finetune_folder.py; no published result either. The learning rate is a
# starting point; all adapters have the same. Needs peft.
_base_ = 'dinov2-small_finetune_folder.py'

model = dict(backbone=dict(
    _delete_=True, type='vit_plugin.LoRA', r=16, lora_alpha=16,
    backbone=dict(_base_.model.backbone, frozen_stages=-1)))
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=1.))
