# DeiT-B/16 at 224, distilled from RegNetY-16GF (timm), hard labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-base_distilled_regnety160-hard.py 8 --amp
# Published: 83.4 % top-1 (DeiT, table 3 and README_deit.md of facebookresearch/deit).
_base_ = ['../classification/deit-base_8xb128_in1k.py', '../_base_/distillation.py',
          '../_base_/teachers/regnety160.py']

model = dict(teacher=_base_.regnety160, **_base_.distilled_deit)
custom_hooks = [*_base_.distillation_hooks,
                dict(type='EMAHook', momentum=4e-5, priority='ABOVE_NORMAL')]
