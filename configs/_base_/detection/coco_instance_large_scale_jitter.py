# COCO 2017 on squares of 1024 pixels with large-scale jitter (0.1 to 2.0): ViTDet, appendix A.2.
# 64 images a batch; 92,188 iterations are 50 epochs.
_base_ = 'coco_instance.py'

size = (1024, 1024)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='vit_plugin.CheckMasks'),
    dict(type='vit_plugin.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='vit_plugin.RandomFlipWithBoxes', prob=0.5),
    dict(type='RandomResize', scale=size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_type='absolute_range', crop_size=size, recompute_bbox=True,
         allow_negative_crop=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114))),
    dict(type='vit_plugin.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='Pad', size=size, pad_val=dict(img=(114, 114, 114))),
    dict(type='vit_plugin.CheckMasks'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4, num_workers=8, sampler=dict(sampler=dict(type='InfiniteSampler', _delete_=True)),
    batch_sampler=None, dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=64)
