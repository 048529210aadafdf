# DeiT: AdamW, lr 5e-4 * batch / 512, weight decay 0.05, 300 epochs, 5 of them warm-up (table 9).
# Batch 1024, eps, warm-up from 1e-6 and the end at 1e-5 are main.py's of facebookresearch/deit.
#
# mmpretrain's DeiT configs take Swin's schedule instead (20 epochs of warm-up, gradients clipped
# at 5); the paper clips none ("Gradient Clip." in table 9), nor does main.py (--clip-grad None).
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-4 * 1024 / 512, weight_decay=0.05, eps=1e-8,
                   betas=(0.9, 0.999)),
    # timm decays neither one-dimensional parameters nor tokens and positions.
    paramwise_cfg=dict(
        norm_decay_mult=0., bias_decay_mult=0., flat_decay_mult=0.,
        custom_keys={'.cls_token': dict(decay_mult=0.), '.dist_token': dict(decay_mult=0.),
                     '.pos_embed': dict(decay_mult=0.)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5),
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The lr above is multiplied by processes * batch_size * accumulative_counts / 1024.
auto_scale_lr = dict(enable=True, base_batch_size=1024)
custom_hooks = [dict(type='vit_plugin.SeedHook')]
