# DeiT-S fine-tuned on a folder of your images, for one GPU (or a patient CPU).
#   python tools/train.py configs/classification/deit-small_finetune_folder.py \
#       --data-root FOLDER --cfg-options model.head.num_classes=K data_preprocessor.num_classes=K
# FOLDER holds train/<class>/<image> and val/<class>/<image>; K is the number of classes.
# Layer-wise decay 0.75 as MAE fine-tunes (table 9; BEiT, table 13, has 0.65 for ViT-B and 0.75 for
# ViT-L). lr, epochs and frozen stages are starting points for a few thousand images, not tuned and
# without a published result.
_base_ = ['../_base_/models/deit.py', '../_base_/datasets/imagenet_224.py',
          '../_base_/schedules/deit_300e.py', '../_base_/classification_runtime.py']

model = dict(
    backbone=dict(arch='deit-small', frozen_stages=2,
                  init_cfg=dict(type='Pretrained',
                                checkpoint='https://dl.fbaipublicfiles.com/deit/'
                                           'deit_small_patch16_224-cd65a155.pth')),
    head=dict(num_classes=10, in_channels=384))

data_preprocessor = dict(num_classes=10)
folder = dict(_delete_=True, type='vit_plugin.ImageFolder', data_root='data/folder')
train_dataloader = dict(
    batch_size=64, num_workers=4,
    dataset=dict(dataset=dict(**folder, data_prefix='train', pipeline=_base_.train_pipeline)))
val_dataloader = dict(
    batch_size=64, num_workers=4,
    dataset=dict(**folder, data_prefix='val', pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(topk=1)
test_evaluator = val_evaluator

optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.75))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=5),
]
train_cfg = dict(max_epochs=30)
auto_scale_lr = dict(base_batch_size=64)
