# Swin mostly follows DeiT (appendix A2.1): AdamW, lr 1e-3 for batch 1024, weight decay 0.05, 300
# epochs. It warms up for 20 of them and clips gradients. eps, warm-up from 1e-6 and the end at 1e-5
# for this batch are config.py's of microsoft/Swin-Transformer, times its scale of batch / 512.
_base_ = 'deit_300e.py'

optim_wrapper = dict(
    # The official code decays neither one-dimensional parameters nor these (no_weight_decay).
    paramwise_cfg=dict(custom_keys={
        '_delete_': True, '.absolute_pos_embed': dict(decay_mult=0.),
        '.relative_position_bias_table': dict(decay_mult=0.),
        '.cpb_mlp': dict(decay_mult=0.), '.logit_scale': dict(decay_mult=0.)}),  # of Swin V2
    # At 5 in config.py, at 1 in the paper (appendix A2.1). The code, because its README links each
    # of the released weights to it.
    clip_grad=dict(max_norm=5.))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=20),
]
