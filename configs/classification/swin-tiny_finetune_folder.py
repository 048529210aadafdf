# Swin-T fine-tuned on a folder of your images, for one GPU (or a patient CPU).
#   python tools/train.py configs/classification/swin-tiny_finetune_folder.py \
#       --data-root FOLDER --cfg-options model.head.num_classes=K data_preprocessor.num_classes=K
# Folder and choices as in deit-small_finetune_folder.py; no published result either.
_base_ = 'deit-small_finetune_folder.py'

model = dict(
    backbone=dict(
        _delete_=True, type='vit_plugin.SwinTransformer', arch='tiny', out_indices=(3, ),
        drop_path_rate=0.2, frozen_stages=0,  # patches and first stage, in mmpretrain's count
        init_cfg=dict(type='Pretrained',
                      checkpoint='https://github.com/SwinTransformer/storage/releases/download/'
                                 'v1.0.0/swin_tiny_patch4_window7_224.pth')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=768,
              init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)))
optim_wrapper = dict(clip_grad=dict(max_norm=5.))
