# Swin-T: stochastic depth 0.2 (appendix A2.1), label smoothing 0.1, Mixup 0.8 and CutMix 1.0, one
# of the two for each batch (config.py of microsoft/Swin-Transformer).
model = dict(
    type='ImageClassifier',
    backbone=dict(type='vit_plugin.SwinTransformer', arch='tiny', out_indices=(3, ),
                  drop_path_rate=0.2),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=768,
              init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
              loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.)]))
