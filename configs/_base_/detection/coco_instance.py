# COCO 2017 with boxes and masks, images of up to 1333x800; 8 GPUs x 2 images as in the Swin
# paper, appendix A2.2, and mmdet.
data_root = 'data/coco/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='vit_plugin.CheckMasks'),
    dict(type='vit_plugin.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='vit_plugin.RandomFlipWithBoxes', prob=0.5),
    dict(type='vit_plugin.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='vit_plugin.CheckMasks'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True,
    sampler=dict(type='vit_plugin.SeededSampler',
                 sampler=dict(type='DefaultSampler', shuffle=True)),
    batch_sampler=dict(type='vit_plugin.SkipBatchSampler',
                       batch_sampler=dict(type='AspectRatioBatchSampler')),
    dataset=dict(type='vit_plugin.SeededDataset',
                 dataset=dict(type='vit_plugin.CocoDataset', data_root=data_root,
                              ann_file='annotations/instances_train2017.json',
                              data_prefix=dict(img='train2017/'),
                              filter_cfg=dict(filter_empty_gt=True, min_size=32),
                              pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='vit_plugin.CocoDataset', data_root=data_root,
                 ann_file='annotations/instances_val2017.json',
                 data_prefix=dict(img='val2017/'), test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='vit_plugin.CocoMetric', metric=['bbox', 'segm'],
                     ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
auto_scale_lr = dict(enable=False, base_batch_size=16)
