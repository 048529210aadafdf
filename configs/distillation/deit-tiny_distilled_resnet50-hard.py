# DeiT-Ti/16 at 224, distilled from ResNet-50 (mmpretrain), hard labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-tiny_distilled_resnet50-hard.py 8 --amp
# The paper has no result with this teacher.
_base_ = ['deit-tiny_distilled_regnety160-hard.py',
          '../_base_/teachers/resnet50.py']

model = dict(teacher=dict(_delete_=True, **_base_.resnet))
