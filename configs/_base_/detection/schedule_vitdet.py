# 50 epochs of 118,000 images in iterations, with layer-wise learning-rate decay: ViTDet, appendix
# A.2. lr, weight decay and epochs are table 11's for weights that were trained with labels, as
# DeiT's are; MAE's take lr 1e-4 and 100 epochs, which is what mmdet's projects/ViTDet has. The
# rates fall after 8/9 and 26/27 of the way as there. The decay of 0.7 is the paper's for MAE
# weights of ViT-B; it saw no gain from any with weights that were trained with labels.
max_iters = 92188
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[81945, 88774],
         gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper', constructor='vit_plugin.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7),
    optimizer=dict(type='AdamW', lr=8e-5, betas=(0.9, 0.999), weight_decay=0.1))
