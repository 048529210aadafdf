# A small DeiT on labels alone: 4 blocks, 16 tokens of 7x7 pixels.
_base_ = 'digits.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='vit_plugin.DeiT',
        arch=dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512),
        img_size=28, patch_size=7),
    head=dict(type='vit_plugin.DeiTHead', num_classes=10, in_channels=128),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
