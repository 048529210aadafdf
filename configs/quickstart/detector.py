# A small Mask R-CNN with Swin and FPN on scenes of digits, written by `vit-plugin demo` to
# work_dirs/quickstart/scenes.
_base_ = ['../_base_/detection/mask_rcnn.py', '../_base_/detection/coco_instance.py',
          '../_base_/detection/schedule_1x.py', '../_base_/detection/runtime.py']

data_root = 'work_dirs/quickstart/scenes/coco/'
classes = tuple('0123456789')
max_iters = 120

model = dict(
    init_cfg=dict(type='Xavier', layer='Linear'),  # as swin.py, for runs from random weights
    data_preprocessor=dict(mean=[33.3] * 3, std=[78.6] * 3, bgr_to_rgb=False),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
        img_size=48, window_size=4, drop_path_rate=0.1,
        init_cfg=dict(checkpoint='work_dirs/quickstart/swin/final.pth')),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64, num_outs=4),
    rpn_head=dict(in_channels=64, feat_channels=64,
                  anchor_generator=dict(scales=[6], strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8]),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=10),
        mask_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8]),
        mask_head=dict(in_channels=64, conv_out_channels=32, num_convs=2, num_classes=10)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50), rcnn=dict(max_per_img=20)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=8, num_workers=1, sampler=dict(sampler=dict(type='InfiniteSampler', _delete_=True)),
    batch_sampler=None,
    dataset=dict(dataset=dict(
        data_root=data_root, ann_file='train.json', data_prefix=dict(img='train/'),
        metainfo=dict(classes=classes), filter_cfg=dict(min_size=0), pipeline=train_pipeline)))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, ann_file='val.json', data_prefix=dict(img='val/'),
                 metainfo=dict(classes=classes), pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters,
                 val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=12),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=12, T_max=max_iters),
]
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.))
log_processor = dict(by_epoch=False)
custom_hooks = []  # a run this short is not resumed
default_hooks = dict(checkpoint=dict(
    by_epoch=False, interval=max_iters, max_keep_ckpts=1, save_best=None, save_optimizer=False,
    filename_tmpl='final.pth'))
