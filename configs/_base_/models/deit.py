# DeiT-B: stochastic depth 0.1, label smoothing 0.1, Mixup 0.8 and CutMix 1.0, one of the two for
# each batch (table 9; --mixup-prob 1.0 --mixup-switch-prob 0.5 in main.py).
model = dict(
    type='ImageClassifier',
    backbone=dict(type='vit_plugin.DeiT', arch='base', img_size=224, drop_path_rate=0.1),
    head=dict(type='vit_plugin.DeiTHead', num_classes=1000, in_channels=768,
              loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.)]))
