# DeiT-B/16 fine-tuned at 384, distilled from RegNetY-16GF (timm), hard labels, 30 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-base384_distilled_regnety160-hard.py 8 --amp
# Published: 84.5 % top-1 (DeiT, table 3); the released weights, 85.2, took 1000 epochs.
_base_ = ['../classification/deit-base_8xb32_in1k-384px.py', '../_base_/distillation.py',
          '../_base_/teachers/regnety160.py']

# The official distilled 224 weights as converted by mmpretrain; positions are interpolated.
load_from = ('https://download.openmmlab.com/mmclassification/v0/deit/'
             'deit-base-distilled_3rdparty_pt-16xb64_in1k_20211216-42891296.pth')
model = dict(teacher=_base_.regnety160, **_base_.distilled_deit)
custom_hooks = [*_base_.distillation_hooks,
                dict(type='EMAHook', momentum=4e-5, priority='ABOVE_NORMAL')]
