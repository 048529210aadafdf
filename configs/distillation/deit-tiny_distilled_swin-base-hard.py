# DeiT-Ti/16 at 224, distilled from Swin-B (timm), hard labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-tiny_distilled_swin-base-hard.py 8 --amp
# No published result: the paper found that convolutional teachers teach DeiT more than
# transformers do (table 2).
_base_ = ['deit-tiny_distilled_regnety160-hard.py',
          '../_base_/teachers/swin_base.py']

model = dict(teacher=dict(_delete_=True, **_base_.swin_base))
