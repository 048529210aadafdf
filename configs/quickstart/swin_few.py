# A small Swin on the 100 labelled digits that the DeiTs have: maps of 7x7 and 4x4.
_base_ = 'digits.py'

model = dict(
    type='ImageClassifier',
    init_cfg=dict(type='Xavier', layer='Linear'),  # as swin.py
    backbone=dict(
        type='vit_plugin.SwinTransformer', img_size=28, window_size=4, out_indices=(1,),
        arch=dict(embed_dims=48, depths=(2, 4), num_heads=(3, 6)), drop_path_rate=0.),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=96),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
train_dataloader = dict(batch_size=32)
