# Multi-scale training of DETR and Sparse R-CNN, used by the Swin paper (section 4.2): the short
# side is 480 to 800 pixels, and half of the images are cropped first. mmdet's "ms-crop".
_base_ = 'coco_instance.py'

scales = [(short, 1333) for short in range(480, 801, 32)]
multi_scale = dict(type='RandomChoice', transforms=[
    [dict(type='RandomChoiceResize', scales=scales, keep_ratio=True)],
    [dict(type='RandomChoiceResize', scales=[(400, 1333), (500, 1333), (600, 1333)],
          keep_ratio=True),
     dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600),
          allow_negative_crop=True),
     dict(type='RandomChoiceResize', scales=scales, keep_ratio=True)]])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='vit_plugin.CheckMasks'),
    dict(type='vit_plugin.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='vit_plugin.RandomFlipWithBoxes', prob=0.5),
    multi_scale,
    dict(type='vit_plugin.PackDetInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
