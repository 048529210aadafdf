# ADE20K, crops of 512x512 pixels; 8 GPUs x 2 images as in the Swin paper, appendix A2.3, and mmseg.
data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='vit_plugin.CheckLabels', num_classes=150),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='vit_plugin.RandomCropWithLabels', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='vit_plugin.RandomFlip', prob=0.5),
    dict(type='vit_plugin.PhotoMetricDistortion'),
    dict(type='vit_plugin.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='vit_plugin.CheckLabels'),
    dict(type='PackSegInputs'),
]
# For test-time augmentation: the image and its mirror image, at one size and at six.
flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0., 1.)]
flip_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(2048, 512), keep_ratio=True)], flips,
        [dict(type='LoadAnnotations', reduce_zero_label=True)],
        [dict(type='vit_plugin.CheckLabels')], [dict(type='PackSegInputs')]]),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(int(2048 * ratio), int(512 * ratio)), keep_ratio=True)
         for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)], flips,
        [dict(type='LoadAnnotations', reduce_zero_label=True)],
        [dict(type='vit_plugin.CheckLabels')], [dict(type='PackSegInputs')]]),
]
train_dataloader = dict(
    batch_size=2, num_workers=4, persistent_workers=True,
    sampler=dict(type='vit_plugin.SeededSampler',
                 sampler=dict(type='InfiniteSampler', shuffle=True)),
    dataset=dict(type='vit_plugin.SeededDataset',
                 dataset=dict(type='ADE20KDataset', data_root=data_root,
                              data_prefix=dict(img_path='images/training',
                                               seg_map_path='annotations/training'),
                              pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=1, num_workers=4, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ADE20KDataset', data_root=data_root,
                 data_prefix=dict(img_path='images/validation',
                                  seg_map_path='annotations/validation'),
                 pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
auto_scale_lr = dict(enable=False, base_batch_size=16)
