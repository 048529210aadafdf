# A linear layer on the class token of DINOv2-S with registers, frozen, on a folder of your images.
#   python tools/train.py configs/classification/dinov2-small_linear_folder.py \
#       --data-root FOLDER --cfg-options model.head.num_classes=K data_preprocessor.num_classes=K
# Folder as in deit-small_finetune_folder.py; no published result either. No Mixup and no label
# smoothing, which a linear layer does not need.
_base_ = 'dinov2-small_finetune_folder.py'

model = dict(
    backbone=dict(frozen_stages=12, drop_path_rate=0.),
    head=dict(loss=dict(_delete_=True, type='CrossEntropyLoss')),
    train_cfg=None)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.))
