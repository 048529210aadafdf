# DeiT-B/16 fine-tuned at 384, distilled from ResNet-101 (mmpretrain), soft labels, 30 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-base384_distilled_resnet101-soft.py 8 --amp
# The paper has no result with this teacher.
_base_ = 'deit-base384_distilled_resnet101-hard.py'

model = dict(distillation=dict(_delete_=True, type='vit_plugin.SoftDistillation'))
