# ImageNet-1k at 224 with the augmentation that DeiT and Swin share.
#
# DeiT, table 9, and main.py of facebookresearch/deit (--aa rand-m9-mstd0.5-inc1, --reprob 0.25,
# --remode pixel, bicubic); Swin, appendix A2.1, and config.py of microsoft/Swin-Transformer (the
# same values). Both test on a centre crop of 224 from a short edge of 256 (= int(256 / 224 * 224)).
# --color-jitter 0.4 of both has no effect: timm leaves it out where RandAugment is on.
data_root = 'data/imagenet'
data_preprocessor = dict(
    num_classes=1000, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

bgr_mean = data_preprocessor['mean'][::-1]
bgr_std = data_preprocessor['std'][::-1]
train_pipeline = [
    dict(type='vit_plugin.LoadRandomResizedCrop', scale=224, max_corrupt=10),
    dict(type='vit_plugin.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='vit_plugin.RandAugment', policies='timm_increasing', num_policies=2, total_level=10,
         magnitude_level=9, magnitude_std=0.5,
         hparams=dict(pad_val=[round(x) for x in bgr_mean], interpolation='bicubic')),
    dict(type='vit_plugin.RandomErasing', erase_prob=0.25, mode='rand', min_area_ratio=0.02,
         max_area_ratio=1 / 3, fill_color=bgr_mean, fill_std=bgr_std),
    dict(type='vit_plugin.PackInputs'),
]
test_pipeline = [
    dict(type='vit_plugin.LoadImage'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

# The last, smaller batch of an epoch is dropped, as in both papers' code.
train_dataloader = dict(
    batch_size=128, num_workers=10, persistent_workers=True, drop_last=True,
    collate_fn=dict(type='default_collate'),  # the workers make the batch
    sampler=dict(type='vit_plugin.SeededSampler',
                 sampler=dict(type='DefaultSampler', shuffle=True)),
    dataset=dict(type='vit_plugin.SeededDataset',
                 dataset=dict(type='vit_plugin.ImageNet', data_root=data_root, split='train',
                              pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=128, num_workers=10, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='vit_plugin.ImageNet', data_root=data_root, split='val',
                 pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
