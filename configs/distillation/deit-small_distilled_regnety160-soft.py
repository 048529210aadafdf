# DeiT-S/16 at 224, distilled from RegNetY-16GF (timm), soft labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-small_distilled_regnety160-soft.py 8 --amp
# Published: 79.8 % top-1 without a distillation token (DeiT, table 3, "usual distillation").
# lambda 0.1 and tau 3 (section 6): the defaults of SoftDistillation.
_base_ = 'deit-small_distilled_regnety160-hard.py'

model = dict(distillation=dict(_delete_=True, type='vit_plugin.SoftDistillation'))
