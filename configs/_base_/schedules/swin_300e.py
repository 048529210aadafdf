# Swin: AdamW, lr 1e-3 for batch 1024, weight decay 0.05, 300 epochs, 20 of them warm-up,
# gradients clipped at 5 (section 4.1 and appendix A2). eps, warm-up from 1e-6 and the end at 1e-5
# for this batch are config.py's of microsoft/Swin-Transformer, times its scale of batch / 512.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-4 * 1024 / 512, weight_decay=0.05, eps=1e-8,
                   betas=(0.9, 0.999)),
    # The official code decays neither one-dimensional parameters nor these (no_weight_decay).
    paramwise_cfg=dict(
        norm_decay_mult=0., bias_decay_mult=0., flat_decay_mult=0.,
        custom_keys={'.absolute_pos_embed': dict(decay_mult=0.),
                     '.relative_position_bias_table': dict(decay_mult=0.)}),
    clip_grad=dict(max_norm=5.))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=20),
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The lr above is multiplied by processes * batch_size * accumulative_counts / 1024.
auto_scale_lr = dict(enable=True, base_batch_size=1024)
custom_hooks = [dict(type='vit_plugin.SeedHook')]
