# DeiT-B/16 fine-tuned at 384, distilled from RegNetY-16GF (timm), soft labels, 30 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-base384_distilled_regnety160-soft.py 8 --amp
# Published: 83.2 % top-1 without a distillation token (DeiT, table 3, "usual distillation").
# lambda 0.1 and tau 3 (section 6): the defaults of SoftDistillation.
_base_ = 'deit-base384_distilled_regnety160-hard.py'

model = dict(distillation=dict(_delete_=True, type='vit_plugin.SoftDistillation'))
