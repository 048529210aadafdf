# DeiT-S/16 at 224, distilled from ResNet-50 (mmpretrain), soft labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-small_distilled_resnet50-soft.py 8 --amp
# The paper has no result with this teacher.
_base_ = 'deit-small_distilled_resnet50-hard.py'

model = dict(distillation=dict(_delete_=True, type='vit_plugin.SoftDistillation'))
