# A small DeiT on labels alone: 3 blocks, 16 tokens of 7x7 pixels.
_base_ = 'digits.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='vit_plugin.DeiT',
        arch=dict(embed_dims=96, num_layers=3, num_heads=3, feedforward_channels=384),
        img_size=28, patch_size=7),
    head=dict(type='vit_plugin.DeiTHead', num_classes=10, in_channels=96),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
