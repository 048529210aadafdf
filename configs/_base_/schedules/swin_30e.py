# Swin's fine-tuning: swin_300e.py with 30 epochs, 5 of them warm-up, lr 2e-5 * batch / 512, ending
# at 1 % of it, weight decay 1e-8: configs/swin/*_finetune.yaml of microsoft/Swin-Transformer, whose
# commands have batch 1024. The paper (appendix A2.1) says constant lr 1e-5 and stochastic depth
# 0.1; the yaml files are chosen because the README links the released weights to them.
_base_ = 'swin_300e.py'

optim_wrapper = dict(optimizer=dict(lr=2e-5 * 1024 / 512, weight_decay=1e-8),
                     accumulative_counts=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=2e-7 * 1024 / 512, by_epoch=True, begin=5),
]
train_cfg = dict(max_epochs=30)
