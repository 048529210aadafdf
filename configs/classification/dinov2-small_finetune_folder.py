# DINOv2-S with registers fine-tuned on a folder of your images, for one GPU (or a patient CPU).
#   python tools/train.py configs/classification/dinov2-small_finetune_folder.py \
#       --data-root FOLDER --cfg-options model.head.num_classes=K data_preprocessor.num_classes=K
# Folder and choices as in deit-small_finetune_folder.py; no published result either. 224 pixels are
# 16 x 16 patches of 14. Weights: Apache-2.0.
_base_ = 'deit-small_finetune_folder.py'

model = dict(backbone=dict(
    _delete_=True, type='vit_plugin.DINOv2', arch='small', drop_path_rate=0.1, frozen_stages=2,
    init_cfg=dict(type='Pretrained',
                  checkpoint='https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/'
                             'dinov2_vits14_reg4_pretrain.pth')))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
