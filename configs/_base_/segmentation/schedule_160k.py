# 160,000 iterations with AdamW, warm-up and linear decay: Swin paper, appendix A2.3; the rest is
# that of mmseg's configs/swin.
max_iters = 160000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0., power=1., by_epoch=False, begin=1500, end=max_iters),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(
        absolute_pos_embed=dict(decay_mult=0.),
        relative_position_bias_table=dict(decay_mult=0.),
        cpb_mlp=dict(decay_mult=0.),  # of Swin V2, as logit_scale
        logit_scale=dict(decay_mult=0.),
        norm=dict(decay_mult=0.))))
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    data_time=dict(type='vit_plugin.DataTimeHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='vit_plugin.AtomicCheckpointHook', by_epoch=False, interval=16000,
                    max_keep_ckpts=3, save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    check=dict(type='vit_plugin.CheckHook'),
    finite_loss=dict(type='vit_plugin.FiniteLossHook'))
